// devfuse/compat/fuse-native: the API of fuse-native 2.2.6, for filesystems that were written for it.
//   const Fuse = require('devfuse/compat/fuse-native')      or      import Fuse from 'devfuse/compat/fuse-native'
import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { callbackify } from 'node:util'
import { DevfuseWarning, mount, unmount } from '../../../index.js'
import type { Session } from '../../../index.js'
import { beforeMount, beforeUnmount, configure, isConfigured, unconfigure } from './configure.js'
import { errnos } from './errnos.js'
import type { ErrnoConstants } from './errnos.js'
import { filesystemOf } from './filesystem.js'
import { HandlerCalls } from './handler-calls.js'
import { meaningOf, remarksOn, wordsOf } from './options.js'
import { Resource } from './resource.js'
import type { Done } from './resource.js'
import type { Handlers, Options, Timeout } from './types.js'

const DEFAULT_TIMEOUT_MS = 15_000
/** How long `unmount` waits for the last requests before it calls back, in milliseconds. */
const LAST_REQUESTS_MS = 1000

const sessions = new Map<string, Session>()
const remarked = new Set<string>()

/** A filesystem of handlers by path, as fuse-native has it: `mount` and `unmount` once, with callbacks. */
class FuseNative extends Resource {
  /** The mount point, absolute. */
  readonly mnt: string
  readonly ops: Handlers
  readonly opts: Options
  /** As given, with the default filled in; 0 for never. */
  readonly timeout: Timeout
  #session: Session | undefined

  /**
   * `handlers` are asked by path and answer by callback. Options that cannot be honoured make `mount` fail with a message that
   * says what to do; those that have no effect on Linux are warned of once.
   */
  constructor(mnt: string, handlers: Handlers | null | undefined, opts: Options = {}) {
    super()
    this.mnt = resolve(mnt)
    this.ops = handlers ?? {}
    this.opts = opts
    this.timeout = opts.timeout === false ? 0 : opts.timeout || DEFAULT_TIMEOUT_MS
    for (const remark of remarksOn(opts)) {
      if (remarked.has(remark)) continue
      remarked.add(remark)
      process.emitWarning(new DevfuseWarning('ERR_DEVFUSE_OPTION', `fuse-native: ${remark}`))
    }
  }

  /** Mounts, and calls back once the kernel and we have agreed. */
  mount(done?: Done): void {
    this.open(done)
  }

  /** Detaches the mount: the path is free at once, files that are open go on working until they are closed. */
  unmount(done?: Done): void {
    this.close(done)
  }

  /** Negative errno of a name such as `'ENOENT'`, -1 for what is none. */
  errno(code?: string): number {
    return (code && errnos[code.toUpperCase() as keyof ErrnoConstants]) || -1
  }

  /** The words for libfuse, `-oallow_other,...`; a subclass may add some (`direct_io`, `ro`, `negative_timeout=5`, ...). */
  _fuseOptions(): string {
    return wordsOf(this.opts)
  }

  override _open(done: Done): void {
    callbackify(() => this.#mount())(done)
  }

  override _close(done: Done): void {
    callbackify(() => this.#unmount())(done)
  }

  async #mount(): Promise<void> {
    // oxlint-disable-next-line no-underscore-dangle -- The name that subclasses know.
    const { settings, session: options } = meaningOf(this._fuseOptions())
    if (/\*|(^|,)fuse-(native|bindings)(,|$)/.test(process.env['DEBUG'] ?? '')) settings.debug = true
    if (this.opts.force) await this.#clearDead()
    await this.#checkMountPoint()
    const timeout = this.timeout === 0 ? false : this.timeout
    const calls = new HandlerCalls(this.ops, timeout, settings.debug)
    const session = await mount(this.mnt, filesystemOf(calls, settings), {
      passthrough: 'off',
      ...options,
    })
    this.#session = session
    const { mountPoint } = session
    sessions.set(mountPoint, session)
    void session.closed.then(() => {
      if (sessions.get(mountPoint) === session) sessions.delete(mountPoint)
    })
  }

  /** A server that died leaves its mount behind, where every call fails. What fails here shows when mounting. */
  async #clearDead(): Promise<void> {
    const code = await stat(join(this.mnt, 'test')).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    )
    if (code === 'ENOTCONN' || code === 'ENXIO')
      await unmount(this.mnt, { lazy: true }).catch(() => undefined)
  }

  async #checkMountPoint(): Promise<void> {
    const make = this.opts.mkdir
    const found = await stat(this.mnt).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      if (!make)
        throw new Error(`Mountpoint does not exist: ${this.mnt}; create it, or set the option \`mkdir\``, {
          cause: error,
        })
      await mkdir(this.mnt, { recursive: true })
      return stat(this.mnt)
    })
    if (!found.isDirectory()) throw new Error(`Mountpoint is not a directory: ${this.mnt}`)
    const parent = await stat(join(this.mnt, '..')).catch(() => undefined)
    if (parent !== undefined && parent.dev !== found.dev)
      throw new Error(`Mountpoint in use: ${this.mnt} is the root of another mount`)
  }

  async #unmount(): Promise<void> {
    const session = this.#session
    if (session === undefined) return
    await session.unmount({ lazy: true }).catch((error: Error) => {
      throw Object.assign(error, { unmountFailure: true })
    })
    // Nobody uses it any more, as a rule: then the last handlers have been called before we say so.
    const late = new AbortController()
    await Promise.race([
      session.closed,
      delay(LAST_REQUESTS_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ])
    late.abort()
  }
}

const statics = {
  /** Detaches whatever FUSE mount is at a path, also one whose server has died. */
  unmount: (mnt: string, done: Done = () => undefined): void => {
    const path = resolve(mnt)
    const session = sessions.get(path)
    callbackify(async () => {
      if (session === undefined) return unmount(mnt, { lazy: true })
      await session.unmount({ lazy: true })
      // The path is free, though files that are open keep the session going.
      if (sessions.get(path) === session) sessions.delete(path)
    })(done)
  },
  beforeMount,
  beforeUnmount,
  configure,
  unconfigure,
  isConfigured,
}

/** The class of fuse-native, with its errno constants (`Fuse.ENOENT` is -2) and functions. */
const Fuse: typeof FuseNative & typeof statics & ErrnoConstants = Object.assign(FuseNative, statics, errnos)
type Fuse = FuseNative
// `require` gives the class itself; compilers that do not expect that ask it for its default export.
Object.defineProperty(Fuse, 'default', { value: Fuse })

export type { Handlers, Options, Result, Statfs, Stats, Timeout } from './types.js'
export { Fuse as default, Fuse as 'module.exports' }
