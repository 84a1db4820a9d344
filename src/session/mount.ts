// mount(): the one call that turns an object of handlers, or a module that exports one, into a mounted filesystem.
import { inspect, types } from 'node:util'
import { beginMount } from '../device/mount.js'
import type { Mounting } from '../device/mount.js'
import { clearDeadMount } from '../device/unmount.js'
import type { Transport } from '../device/transport.js'
import { abortable, unlessAborted } from './abort.js'
import { OptionError, requireLinux } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { importFilesystem } from './filesystem-module.js'
import { fromFd, parseDevFd } from './from-fd.js'
import { wishes } from './init.js'
import { moduleOptionNames, resolveFor, resolveOptions, resolveWorkers } from './options.js'
import { requireBoolean, requireOptions } from './option-checks.js'
import type { ModuleOptions, ResolvedOptions, SessionOptions } from './options.js'
import { Session } from './session.js'
import { chooseTransport, makeTransport } from './transport.js'
import { Team, forTeam } from './team.js'
import type { TeamPlan } from './team.js'
import { arriving, unwatch, watch } from './shutdown.js'
import { mountInWorker } from './worker-session.js'
import type { WorkerSession } from './worker-session.js'

type Names<Options extends SessionOptions> = Options['encoding'] extends 'buffer' ? Buffer : string

/**
 * Mounts the filesystem that a module exports, served by a worker thread of its own: this thread may then use the mount with
 * sync functions, start programs on it, and be busy as long as it likes. `mount(new URL('./fs.js', import.meta.url), '/mnt')`.
 *
 * The default export of the module is a {@link Filesystem}, or a class, function or async function that makes one from the option
 * `data`. A TypeScript module needs Node 22.18 or newer, or a loader. Errors are those of the other form; what the module throws
 * rejects, too. With `worker: false` the module is imported and served here.
 */
export function mount(
  mountPoint: string,
  module: URL,
  options: ModuleOptions & { worker: false },
): Promise<Session>
export function mount(mountPoint: string, module: URL, options?: ModuleOptions): Promise<WorkerSession>
export function mount(
  module: URL,
  mountPoint: string,
  options: ModuleOptions & { worker: false },
): Promise<Session>
export function mount(module: URL, mountPoint: string, options?: ModuleOptions): Promise<WorkerSession>
/**
 * Mounts `filesystem` at the directory (or file) `mountPoint` and resolves once the kernel and we have agreed (INIT).
 *
 * A process with CAP_SYS_ADMIN mounts by itself, everybody else through fusermount3. A mount point of the form `/dev/fd/N`
 * says that descriptor N is mounted already: see {@link fromFd}. The handlers run on this thread's event loop: a *sync* fs
 * function on the mount from the same thread waits for an answer that only this thread can give. To do that, serve the
 * filesystem from a worker: pass the URL of a module instead.
 *
 * Filesystems of this library have a property `mountOptions`, to be passed as `options`; its `encoding` holds by itself where `options` have
 * none.
 *
 * Throws an OptionError for an option that cannot work, a MountError (`errno`, `code`, what was attempted and what to
 * do) where mounting fails, a NegotiationError where the kernel lacks what `options` insist on. Nothing is left
 * mounted then. Source: mount(8), fuse(4), Documentation/filesystems/fuse/fuse.rst.
 */
export function mount<Options extends SessionOptions>(
  mountPoint: string,
  filesystem: Filesystem<Names<Options>>,
  options?: Options,
): Promise<Session>
export async function mount(
  first: string | URL,
  second: string | URL | object,
  options: ModuleOptions = {},
): Promise<Session | WorkerSession> {
  requireLinux()
  const [mountPoint, served] = first instanceof URL ? [second, first] : [first, second]
  if (typeof mountPoint !== 'string')
    throw new OptionError(
      `a mount point is a path, not ${typeof mountPoint === 'object' ? 'an object' : typeof mountPoint}`,
    )
  const {
    worker,
    data,
    transferList: _,
    workers: _count,
    pinWorkers: _pin,
    ...sessionOptions
  } = requireOptions(options)
  requireBoolean('worker', worker)
  if (served instanceof URL) {
    const plan = { module: served.href, data, ...resolveWorkers(options) }
    const { signal } = resolveOptions(sessionOptions)
    if (worker !== false) return abortable(signal, () => mountInWorker(mountPoint, served, options))
    const filesystem = await unlessAborted(signal, () => importFilesystem(served.href, data))
    return mountHere(mountPoint, filesystem, sessionOptions, plan)
  }
  requireObject(served, options)
  return mountHere(mountPoint, served as Filesystem, sessionOptions)
}

/** What is no module has to be an object of handlers, and has none of a module's options. */
function requireObject(served: unknown, options: ModuleOptions): void {
  if (types.isPromise(served))
    throw new OptionError('a filesystem is an object of handlers, not a promise of one: await it')
  if (Array.isArray(served)) throw new OptionError('a filesystem is an object of handlers, not an array')
  if (typeof served !== 'object' || served === null) {
    const isFunction = typeof served === 'function'
    const got = isFunction ? inspect(served) : JSON.stringify(served)
    let fix = isFunction ? '; call it, or pass an instance of it' : ''
    if (typeof served === 'string') fix = '; write new URL(..., import.meta.url)'
    throw new OptionError(
      `a filesystem is an object of handlers, or the URL of a module that exports one, not ${got}${fix}`,
    )
  }
  if (options.worker === true) {
    throw new OptionError(
      'option `worker` cannot move this object to another thread, because functions cannot be copied: put the filesystem into ' +
        "a module of its own as its default export, and pass mount() its URL: new URL('./fs.js', import.meta.url)",
    )
  }
  const wrong = moduleOptionNames.find((name) => options[name] !== undefined && options[name] !== false)
  if (wrong === undefined) return
  throw new OptionError(
    `option \`${wrong}\` is for a module: mount(mountPoint, new URL('./fs.js', import.meta.url))`,
  )
}

/** Not for authors: mounts what this thread has, served by it and, where `plan` says so, by others that import its module. */
export async function mountHere(
  mountPoint: string,
  filesystem: Filesystem,
  options: SessionOptions,
  plan?: TeamPlan,
): Promise<Session> {
  const threads = plan?.workers ?? 1
  const passed = parseDevFd(mountPoint)
  if (passed !== undefined) {
    if (threads === 1) return fromFd(passed, filesystem, options)
    throw new OptionError(
      'option `workers` is for a mount that is made here; on a descriptor that is mounted already, use addWorkers()',
    )
  }
  const given = resolveFor(filesystem, options)
  const resolved = chooseTransport(threads > 1 ? forTeam(given, filesystem) : given, filesystem, threads)
  // Impossible wishes are refused before anything is mounted.
  wishes(resolved, (method) => typeof filesystem[method as keyof Filesystem] === 'function')
  if (plan === undefined || threads === 1) return begin(mountPoint, filesystem, resolved)
  const team = await Team.gather(plan, resolved)
  try {
    return await begin(mountPoint, filesystem, resolved, team)
  } catch (error) {
    await team.dismiss()
    throw error
  }
}

function begin(
  mountPoint: string,
  filesystem: Filesystem,
  resolved: ResolvedOptions,
  team?: Team,
): Promise<Session> {
  let session: Session | undefined
  const make = async (): Promise<Session> => {
    const { mounted, finish } = await beginMount(mountPoint, resolved)
    const transport = makeTransport(mounted.fd, resolved, team?.queues)
    session = new Session(transport, filesystem, resolved, mounted)
    // From here on the end of this thread or process takes the mount with it, even one that gets its place just then.
    transport.detachAtExit(mounted.mountPoint, mounted.minor)
    watch(session, false)
    await serve(session, { mounted, finish }, resolved, transport, team)
    // Not before: while the mount gets its place, only who makes it can take it away.
    if (session.fd >= 0) watch(session, resolved.handleSignals)
    return session
  }
  const detachNow = (): void => session?.detachNow()
  return abortable(resolved.signal, () => arriving(resolved.handleSignals, make, { detachNow }))
}

/** Serves from the first request on, until INIT is answered and the mount is in its place. Throws with nothing left mounted. */
async function serve(
  session: Session,
  { mounted, finish }: Mounting,
  resolved: ResolvedOptions,
  transport: Transport,
  team: Team | undefined,
): Promise<void> {
  if (!resolved.syncInit) await placed(finish, session, transport)
  const [started, finished] = await Promise.allSettled([
    session.start(false),
    resolved.syncInit ? finish() : undefined,
  ])
  if (started.status === 'fulfilled' && finished.status === 'fulfilled') {
    await team?.join(session, resolved).catch(async (error: unknown) => {
      session.abort()
      await session.shutdown()
      throw error
    })
    return
  }
  if (started.status === 'fulfilled') await session.shutdown()
  else await clearDeadMount(mounted)
  throw started.status === 'rejected' ? started.reason : (finished as PromiseRejectedResult).reason
}

async function placed(finish: () => Promise<void>, session: Session, transport: Transport): Promise<void> {
  try {
    await finish()
  } catch (error) {
    unwatch(session)
    transport.close()
    throw error
  }
}
