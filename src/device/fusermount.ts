// fusermount3: the setuid helper of the package fuse3, which mounts and unmounts for whoever may not.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import {
  AF_UNIX,
  F_SETFL,
  O_NONBLOCK,
  O_RDWR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  syscalls,
} from '../syscalls/index.js'
import { MountError, explainDevice } from './mount-error.js'
import { flagWords, parameters, sourceOf } from './mount-options.js'
import type { MountOptions } from './mount-options.js'

const EPERM = -1
const ENOENT = -2
const EINVAL = -22
const MSG_DONTWAIT = 0x40

/** fusermount3 mounts and passes the descriptor back over a socket (its `_FUSE_COMMFD` protocol). */
export async function mountByHelper(mountPoint: string, options: MountOptions): Promise<number> {
  const refused = forRootOnly(options)
  if (refused !== undefined) {
    throw new MountError(
      `only root can mount ${mountPoint} with ${refused}`,
      EPERM,
      'fusermount3',
      mountPoint,
    )
  }
  // The helper opens the device with rights of its own, so only a missing one is told here.
  if (!existsSync('/dev/fuse')) throw explainDevice(ENOENT, mountPoint)
  const pair = new Int32Array(2)
  const made = syscalls.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)
  if (made < 0)
    throw new MountError(`socketpair failed: ${describeErrno(made)}`, made, 'socketpair', mountPoint)
  const [ours, theirs] = pair as unknown as [number, number]
  try {
    const { status, stderr } = await runHelper(
      ['-o', helperOptions(options), '--', mountPoint],
      theirs,
      mountPoint,
    )
    if (status !== 0) {
      throw new MountError(
        `fusermount3 could not mount on ${mountPoint}: ${stderr.trim() || `exit status ${status}`}` +
          helperHint(stderr),
        EPERM,
        'fusermount3',
        mountPoint,
      )
    }
    const fd = loadNative().syscallUtf8(special.recvFd, ours, MSG_DONTWAIT)
    if (fd < 0) {
      throw new MountError(
        `fusermount3 mounted ${mountPoint} but passed no descriptor: ${describeErrno(fd)}`,
        fd,
        'recvmsg',
        mountPoint,
      )
    }
    syscalls.fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK)
    return fd
  } finally {
    syscalls.close(ours)
  }
}

/** What the helper would not do for an ordinary user, or not at all. */
function forRootOnly(options: MountOptions): string | undefined {
  if (options.suid || options.dev) return 'working set-user-id bits or device files: leave out suid and dev'
  if (options.blockDevice !== undefined) return 'the option blockDevice'
  if (options.owner !== undefined) return 'the option owner'
  return options.syncInit ? 'the option syncInit' : undefined
}

function helperOptions(options: MountOptions): string {
  const escape = (value: string): string => value.replace(/[\\,]/g, '\\$&')
  const flags = flagWords(options).map(({ word }) => word)
  const words = [flags.includes('ro') ? '' : 'rw', ...flags].filter((word) => word !== '')
  words.push(`fsname=${escape(sourceOf(options))}`)
  if (options.subtype !== undefined) words.push(`subtype=${escape(options.subtype)}`)
  for (const { key, value } of parameters(options)) {
    words.push(value === undefined ? escape(key) : `${escape(key)}=${escape(value)}`)
  }
  return words.join(',')
}

function helperHint(stderr: string): string {
  if (/user_allow_other/.test(stderr))
    return '; add the line user_allow_other to /etc/fuse.conf, or mount without allowOther'
  if (/not permitted/i.test(stderr))
    return '; fusermount3 must be setuid root, and the process must be in a namespace that may mount'
  return ''
}

/** Runs fusermount3; `socket` is where it sends the descriptor, which is closed here. */
export function runHelper(
  args: string[],
  socket: number | undefined,
  mountPoint: string,
): Promise<{ status: number; stderr: string }> {
  return new Promise((done, fail) => {
    const child = spawn('fusermount3', args, {
      stdio: socket === undefined ? ['ignore', 'ignore', 'pipe'] : ['ignore', 'ignore', 'pipe', socket],
      env: { ...process.env, _FUSE_COMMFD: '3', LC_ALL: 'C' },
    })
    // Only the helper may hold its end: without a descriptor in it, receiving must fail, not wait.
    if (socket !== undefined) syscalls.close(socket)
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT'
      fail(
        new MountError(
          missing
            ? `fusermount3 is not installed, and only root can mount without it: install the package fuse3 (for ${mountPoint})`
            : `fusermount3 could not be started: ${error.message}`,
          error.errno ?? EINVAL,
          'fusermount3',
          mountPoint,
        ),
      )
    })
    child.on('close', (status, signal) =>
      done({ status: status ?? 1, stderr: signal ? `killed by ${signal}` : stderr }),
    )
  })
}
