// Mounting in small steps: fsopen(2), fsconfig(2), fsmount(2), move_mount(2). Unlike mount(2) they take any byte in an
// option, say in words what was wrong, and let nobody see the mount before it is complete.
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_FLAG,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MOVE_MOUNT_F_EMPTY_PATH,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  StatxBuffer,
  syscalls,
} from '../syscalls/index.js'
import { connectionOf } from './connection.js'
import type { DeviceNumber } from './connection.js'
import { MountError, explainDevice, explainMount } from './mount-error.js'
import { connectionParameters, flagWords, parameters, sourceOf, typeOf } from './mount-options.js'
import type { MountOptions, Parameter } from './mount-options.js'

/** FUSE_DEV_IOC_SYNC_INIT, _IO(229, 3). */
const SYNC_INIT = 0xe503
/** Kernel: what fsconfig(2) takes as the value of a parameter, without the NUL. */
const MOST_BYTES = 255
const EINVAL = -22
const ENOTTY = -25

/** A superblock with its connection; {@link FsMount.attach} makes it visible. */
export interface FsMount {
  fd: number
  device: DeviceNumber
  /** Settles when the mount is in place. Throws a {@link MountError}; the descriptor stays the caller's. */
  readonly attach: () => Promise<void>
}

/**
 * Makes the superblock: what is in place afterwards, or -errno where the kernel has no such calls (-ENOSYS) or the process
 * may not use them (-EPERM). With `syncInit` it returns while the kernel waits for the answer to INIT, so requests must be
 * served while `attach` goes on.
 */
export async function fsMount(
  mountPoint: string,
  mode: number,
  options: MountOptions,
): Promise<FsMount | number> {
  const context = syscalls.fsopen(typeOf(options), FSOPEN_CLOEXEC)
  if (context < 0) return context
  const fd = syscalls.openat(AT_FDCWD, '/dev/fuse', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  try {
    if (fd < 0) throw explainDevice(fd, mountPoint)
    if (options.syncInit) askForSyncInit(fd, mountPoint)
    configure(context, mountPoint, settings(fd, mode, options), options)
    if (!options.syncInit) {
      const result = await syscalls.fsconfigAsync(context, FSCONFIG_CMD_CREATE)
      if (result < 0) throw explain(context, result, 'fsconfig', mountPoint)
      const tree = detached(context, mountPoint, options)
      const finish = (): Promise<void> => attach(tree, mountPoint)
      return { fd, device: deviceOf(tree), attach: () => finish().finally(() => syscalls.close(context)) }
    }
    // Kernel: this call now waits for the answer to INIT, so it must not be this thread that makes it.
    const created = syscalls.fsconfigAsync(context, FSCONFIG_CMD_CREATE)
    const device = await appearing(fd, created)
    if (device === undefined) throw explain(context, await created, 'fsconfig', mountPoint)
    const finish = async (): Promise<void> => {
      const result = await created
      if (result < 0) throw explain(context, result, 'fsconfig', mountPoint)
      await attach(detached(context, mountPoint, options), mountPoint)
    }
    return { fd, device, attach: () => finish().finally(() => syscalls.close(context)) }
  } catch (error) {
    syscalls.close(context)
    if (fd >= 0) syscalls.close(fd)
    throw error
  }
}

function askForSyncInit(fd: number, mountPoint: string): void {
  const result = syscalls.ioctl(fd, SYNC_INIT)
  if (result === 0) return
  const why =
    result === ENOTTY || result === EINVAL ? 'it came with Linux 6.18; leave out syncInit' : 'see ioctl(2)'
  throw explainMount(result, 'FUSE_DEV_IOC_SYNC_INIT', mountPoint, why)
}

function settings(fd: number, mode: number, options: MountOptions): Parameter[] {
  const flags = flagWords(options).flatMap(({ superblock }) =>
    superblock === undefined ? [] : [{ key: superblock }],
  )
  const subtype = options.subtype === undefined ? [] : [{ key: 'subtype', value: options.subtype }]
  const source = { key: 'source', value: sourceOf(options) }
  return [source, ...subtype, ...flags, ...connectionParameters(fd, mode, options), ...parameters(options)]
}

function configure(
  context: number,
  mountPoint: string,
  list: readonly Parameter[],
  options: MountOptions,
): void {
  for (const { key, value } of list) {
    const result =
      value === undefined
        ? syscalls.fsconfig(context, FSCONFIG_SET_FLAG, key)
        : syscalls.fsconfig(context, FSCONFIG_SET_STRING, key, value)
    if (result >= 0) continue
    if (value !== undefined && Buffer.byteLength(value) > MOST_BYTES)
      throw explainMount(result, 'fsconfig', mountPoint, tooLong(key, options))
    throw explain(context, result, 'fsconfig', mountPoint, key)
  }
}

function tooLong(key: string, { blockDevice }: MountOptions): string {
  const option = key !== 'source' ? key : blockDevice === undefined ? 'fsName' : 'blockDevice'
  return `option \`${option}\` is longer than the ${MOST_BYTES} bytes that fsconfig(2) takes`
}

/**
 * Waits until the descriptor has its connection; undefined where the superblock could not be made. Kernel: after SYNC_INIT
 * even a poll(2) of it waits for that, and would wait for ever where no superblock comes of it.
 */
async function appearing(fd: number, created: Promise<number>): Promise<DeviceNumber | undefined> {
  const progress = { over: false }
  void created.then(() => (progress.over = true))
  for (;;) {
    const { over } = progress
    const device = connectionOf(fd)
    if (typeof device === 'object') return device
    if (over) return undefined
    if (device === undefined)
      throw new MountError('syncInit needs /proc to see its progress', EINVAL, 'open', '/proc/self/fdinfo')
    await nextTurn()
  }
}

/** fsmount(2): a descriptor of a mount that is nowhere yet. */
function detached(context: number, mountPoint: string, options: MountOptions): number {
  const attributes = flagWords(options).reduce((bits, { attr }) => bits | attr, 0)
  const tree = syscalls.fsmount(context, FSMOUNT_CLOEXEC, attributes)
  if (tree < 0) throw explain(context, tree, 'fsmount', mountPoint)
  return tree
}

/** Kernel: with DONT_SYNC nobody is asked for the device number of a mount's root, not even a server that is not there yet. */
function deviceOf(tree: number): DeviceNumber {
  const found = new StatxBuffer()
  syscalls.statx(tree, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, found)
  return { major: found.devMajor, minor: found.devMinor }
}

async function attach(tree: number, mountPoint: string): Promise<void> {
  const result = await syscalls.moveMountAsync(tree, '', AT_FDCWD, mountPoint, MOVE_MOUNT_F_EMPTY_PATH)
  syscalls.close(tree)
  if (result < 0) throw explainMount(result, 'move_mount', mountPoint)
}

/** With what the kernel wrote into the log of the context: `e fuse: Unknown parameter 'x'`. */
function explain(context: number, errno: number, call: string, mountPoint: string, key?: string): MountError {
  const said = syscalls.fsLog(context).map((line) => line.replace(/^[ewi] /, ''))
  if (key !== undefined && said.length === 0) said.push(`the kernel refuses the option \`${key}\``)
  return explainMount(errno, call, mountPoint, said.join('; '))
}
