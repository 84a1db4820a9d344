// Owns the control socket of a session: other processes (`devfuse stats`) ask it for one JSON object.
// No stop of a request; it only reads what the session counted.
import { chmodSync, lstatSync, mkdirSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { UNKNOWN_MINOR } from '../device/connection.js'
import { containingMount, isFuse } from '../device/mountinfo.js'
import { warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'

// Kernel: sun_path holds 108 bytes with the final NUL.
const MAX_SOCKET_PATH = 107
const MAX_ANSWER = 16 << 20

const userOf = (): number => process.geteuid?.() ?? 0

function socketIn(directory: string, minor: number): string {
  return join(directory, 'devfuse', `${minor}.sock`)
}

/**
 * Where the session that serves the mount with this minor device number listens: `/run/devfuse/<minor>.sock` for root,
 * else below `$XDG_RUNTIME_DIR` or `/tmp/devfuse-<uid>`.
 */
export function controlPath(minor: number, uid: number = userOf()): string {
  if (uid === 0) return socketIn('/run', minor)
  const runtime = uid === userOf() ? process.env.XDG_RUNTIME_DIR : undefined
  // XDG Base Directory Specification: a relative path is invalid, and to be ignored.
  const path = socketIn(runtime?.startsWith('/') ? runtime : `/tmp/devfuse-${uid}`, minor)
  return Buffer.byteLength(path) > MAX_SOCKET_PATH ? socketIn(`/tmp/devfuse-${uid}`, minor) : path
}

/** Every place where a session of user `uid` may listen, likeliest first; for a process with another environment. */
export function controlPaths(minor: number, uid: number): string[] {
  return [
    ...new Set([
      controlPath(minor, uid),
      socketIn(`/run/user/${uid}`, minor),
      socketIn(`/tmp/devfuse-${uid}`, minor),
      socketIn('/run', minor),
    ]),
  ]
}

// The folders may lie in /tmp, where anybody could have put one first.
function privateDirectory(path: string): void {
  const directory = dirname(path)
  // The runtime folders of the system itself are not ours to judge.
  const parents = dirname(directory).startsWith('/tmp/devfuse-')
    ? [dirname(directory), directory]
    : [directory]
  for (const folder of parents) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { uid, mode } = lstatSync(folder)
    if ((mode & 0o170000) !== 0o040000 || uid !== userOf()) {
      throw new Error(
        `the folder ${folder} of the control socket is not a folder of user ${userOf()}; remove it or set XDG_RUNTIME_DIR`,
      )
    }
    if ((mode & 0o077) !== 0) chmodSync(folder, 0o700)
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Gone already, which is what was wanted.
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}

let made = 0
const open = new Set<ControlSocket>()

function closeAll(): void {
  for (const socket of open) socket.close()
}

/**
 * A Unix socket that answers every connection with one JSON object and closes it. It never keeps the process alive,
 * and its file goes away on `close()` and when the process exits.
 */
export class ControlSocket {
  /** Path of the socket. */
  readonly path: string
  readonly #server: Server
  readonly #clients = new Set<Socket>()

  #ino = 0

  /** `minor` is the minor device number of the mount; `answer` makes the object to send. */
  constructor(minor: number, answer: () => unknown) {
    this.path = controlPath(minor)
    this.#server = createServer((client) => {
      this.#clients.add(client.unref())
      client.on('close', () => this.#clients.delete(client))
      client.on('error', () => client.destroy()) // the asker left; nobody to tell
      client.end(render(answer))
    })
    this.#server.unref()
  }

  /** Starts to listen; rejects when the socket cannot be made. A socket left by a dead server is replaced. */
  async listen(): Promise<void> {
    const mount = containingMount(this.path)
    if (mount !== undefined && isFuse(mount)) {
      // Touching it could mean waiting for our own answer.
      throw new Error(`the control socket ${this.path} would lie in the FUSE mount ${mount.mountPoint}`)
    }
    privateDirectory(this.path)
    // Closing a server removes the file it was bound to, whoever has that name by then; so it never has the final one.
    const bound = `${this.path}.${process.pid}-${++made}`
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(bound, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    // Kernel: two live mounts never share a device number, so whatever is there belongs to a mount that is gone.
    renameSync(bound, this.path)
    this.#ino = statSync(this.path).ino
    if (open.size === 0) process.on('exit', closeAll)
    open.add(this)
  }

  /** Stops listening, drops the connections and removes the socket's file; harmless when repeated. */
  close(): void {
    if (!open.delete(this)) return
    if (open.size === 0) process.off('exit', closeAll)
    for (const client of this.#clients) client.destroy()
    this.#server.close()
    // The number, and so the name, may belong to a newer mount already.
    if (inodeOf(this.path) === this.#ino) removeFile(this.path)
  }
}

/** A socket for the mount with this number that listens; undefined where there can be none, which is reported. */
export async function listenOn(
  minor: number,
  answer: () => unknown,
  report: (problem: DevfuseWarning) => void,
): Promise<ControlSocket | undefined> {
  try {
    if (minor === UNKNOWN_MINOR) {
      throw new Error(
        'its socket is named by the device number of the mount, which the kernel does not tell of a descriptor that somebody ' +
          'else mounted (Linux 6.16 and newer do, in /proc/self/fdinfo)',
      )
    }
    const control = new ControlSocket(minor, answer)
    await control.listen()
    return control
  } catch (error) {
    const { message } = error as Error
    report(warning('ERR_DEVFUSE_CONTROL', `\`devfuse stats\` cannot reach this mount: ${message}`))
    return undefined
  }
}

function render(answer: () => unknown): string {
  try {
    return JSON.stringify(answer(), (_, value: unknown) =>
      typeof value === 'bigint' ? Number(value) : value,
    )
  } catch (error) {
    return JSON.stringify({ error: error instanceof Error ? error.message : String(error) })
  }
}

/**
 * Asks the control socket at `path`. Rejects with the system's error (ENOENT, ECONNREFUSED, EACCES), with ETIMEDOUT
 * after `timeoutMs` milliseconds, or when the answer is not JSON.
 */
export function queryControl(path: string, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const socket = createConnection(path)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => {
      const message = `no answer from ${path} within ${timeoutMs} ms`
      fail(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
    }, timeoutMs)
    socket.on('error', fail)
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_ANSWER) fail(new Error(`the answer from ${path} is larger than ${MAX_ANSWER} bytes`))
      else chunks.push(chunk)
    })
    socket.on('end', () => {
      clearTimeout(timer)
      socket.destroy()
      try {
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')))
      } catch (error) {
        reject(new Error(`the answer from ${path} is not JSON`, { cause: error }))
      }
    })
  })
}
