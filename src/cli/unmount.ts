// devfuse unmount: takes a FUSE mount away, cleanly where possible, else detached with the reason.
// The mount itself is never touched, because its server may be dead or hang.
import { spawn } from 'node:child_process'
import { unlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { findMount, isFuse, readMountInfo } from '../device/mountinfo.js'
import type { MountInfo } from '../device/mountinfo.js'
import { errnoName } from '../protocol/index.js'
import { controlPaths, queryControl } from '../session/control.js'
import { makeSyscalls } from '../syscalls/index.js'
import { CommandError, EXIT_OK } from './command.js'
import type { Command } from './command.js'
import { mountOwner, requireFuseMount } from './fuse-mount.js'
import { describeHolders, findHolders, submounts } from './holders.js'

const MNT_FORCE = 1
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

const PATIENCE_MS = 5000

interface Outcome {
  /** undefined when it worked, else what the kernel or the helper said. */
  said?: string
  busy?: boolean
  permission?: boolean
}

async function byKernel(mount: MountInfo, flags: number): Promise<Outcome> {
  const hint = setTimeout(() => {
    process.stderr.write(
      `devfuse: still waiting: the server of ${mount.mountPoint} has to take data that was not written yet; ` +
        'if it hangs, run `devfuse unmount --force` on it from another terminal\n',
    )
  }, PATIENCE_MS)
  const syscalls = makeSyscalls('latin1')
  const result = await syscalls.umount2Async(mount.mountPointBytes, flags | UMOUNT_NOFOLLOW)
  clearTimeout(hint)
  if (result >= 0) return {}
  const name = errnoName(result)
  return { said: `umount2 says ${name}`, busy: name === 'EBUSY', permission: name === 'EPERM' }
}

function byHelper(mount: MountInfo, lazy: boolean): Promise<Outcome> {
  return new Promise((resolve) => {
    const args = lazy ? ['-u', '-z', '--', mount.mountPoint] : ['-u', '--', mount.mountPoint]
    const child = spawn('fusermount3', args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'ENOENT' ? 'is not installed (package fuse3)' : `did not start: ${error.message}`
      resolve({ said: `fusermount3, which unmounts for ordinary users, ${why}`, permission: true })
    })
    child.on('close', (status) => {
      if (status === 0) resolve({})
      else
        resolve({
          said: stderr.trim() || `fusermount3 ended with status ${status}`,
          busy: /busy/i.test(stderr),
        })
    })
  })
}

/** A socket of a server that died stays behind; one of a living server removes itself. */
async function removeStaleSockets(mount: MountInfo): Promise<void> {
  for (const path of controlPaths(mount.minor, mountOwner(mount))) {
    for (let attempt = 0; ; attempt++) {
      const code = await queryControl(path, 500).then(
        () => 'alive',
        (error: NodeJS.ErrnoException) => error.code,
      )
      if (code === 'ECONNREFUSED') {
        try {
          unlinkSync(path)
        } catch {
          // Somebody else's file; the next session with this number replaces it.
        }
      }
      if (code !== 'alive' || attempt === 5) break
      await sleep(100)
    }
  }
}

async function run([path]: string[], { force }: { force?: unknown }): Promise<number> {
  const mount = requireFuseMount(path, 'unmount')
  let viaHelper = false
  const attempt = async (lazy: boolean): Promise<Outcome> => {
    if (viaHelper) return byHelper(mount, lazy)
    const outcome = await byKernel(mount, lazy ? MNT_DETACH : force === true ? MNT_FORCE : 0)
    if (outcome.permission !== true) return outcome
    if (force === true) return { said: `${outcome.said}, and only root can use --force` }
    viaHelper = true
    return byHelper(mount, lazy)
  }

  const clean = await attempt(false)
  if (clean.said === undefined) {
    process.stdout.write(`unmounted ${mount.mountPoint}\n`)
  } else if (clean.busy === true) {
    const reasons = describeHolders(findHolders(mount), submounts(mount, readMountInfo()))
    if (reasons.length === 0) {
      reasons.push(
        'no holder is visible: a process of another user, a mapped file, or another mount namespace',
      )
    }
    const lazy = await attempt(true)
    const list = reasons.map((reason) => `  ${reason}\n`).join('')
    if (lazy.said !== undefined) {
      throw new CommandError(
        `cannot unmount ${mount.mountPoint}: it is busy (${clean.said}), and detaching it failed as well ` +
          `(${lazy.said}). In use by:\n${list}End these and try again`,
      )
    }
    process.stdout.write(
      `detached ${mount.mountPoint} (lazy unmount), because it was busy:\n${list}` +
        'The path is free now; the filesystem itself ends when the last of these lets go.\n',
    )
  } else {
    throw new CommandError(`cannot unmount ${mount.mountPoint}: ${clean.said}; ${advice(mount, clean)}`)
  }
  await removeStaleSockets(mount)
  const below = findMount(path)
  if (below !== undefined && isFuse(below)) {
    process.stderr.write(
      `devfuse: another FUSE mount was below it and shows now; unmount ${path} again to remove it\n`,
    )
  }
  return EXIT_OK
}

function advice(mount: MountInfo, { said = '', permission }: Outcome): string {
  if (said.includes('--force')) return 'run it as root, or without --force'
  const owner = mountOwner(mount)
  if (process.geteuid?.() !== 0 && process.geteuid?.() !== owner) {
    return `only root and the user who mounted it can unmount it (user ${owner})`
  }
  return permission === true ? 'run it as root' : '`devfuse doctor` checks the permissions'
}

export const unmount: Command = {
  name: 'unmount',
  positionals: ['MNT'],
  summary: 'Unmount any FUSE mount, also one that is busy or whose server is dead.',
  description: `
The mount is unmounted cleanly when nobody uses it. When it is busy, the processes that use it are listed and it
is detached: the path is free at once, and the filesystem ends when they let go. Mounts of dead servers ("Transport
endpoint is not connected") are cleared the same way. As an ordinary user it works through fusermount3.`,
  options: {
    force: {
      type: 'boolean',
      short: 'f',
      help: 'First end the connection to the server, for one that hangs: callers get an error. Root only.',
    },
  },
  run,
}
