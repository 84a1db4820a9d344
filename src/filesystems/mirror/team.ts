// mountMirror() with `workers`: one mirror served by several threads, which share what the kernel knows.
import { OptionError, mount, usableCpus } from '../../index.js'
import type { Session, SessionOptions } from '../../index.js'
import { F_DUPFD_CLOEXEC, syscalls } from '../../syscalls/index.js'
import type { CrewData } from './crew.js'
import type { ResolvedMirrorOptions } from './options.js'
import { shareMemory } from './shared.js'
import { closeSource, mountBelow } from './source.js'
import type { Source } from './source.js'
import { Tree } from './tree.js'

/** Plain data: what the threads of one mirror have in common, and a source for each. */
export interface MirrorData {
  source: string
  sources: Source[]
  /** By thread: 1 until somebody has closed its source. */
  open: SharedArrayBuffer
  options: ResolvedMirrorOptions
  crew: CrewData
}

/** Closes the source of a thread, once. */
export function closeOnce({ sources, open }: MirrorData, index: number): void {
  if (Atomics.exchange(new Int32Array(open), index, 0) === 1) closeSource(sources[index])
}

/** How many threads, and whether they stay on their CPUs: see `workers` and `pinWorkers` of mount(). */
export interface MirrorTeam {
  workers: number | 'auto'
  pinWorkers?: boolean
}

/** Mounts with several threads. Rejects with nothing mounted; `opened` stays the caller's. */
export async function mountTeam(
  opened: Source,
  mountPoint: string,
  options: ResolvedMirrorOptions,
  mountOptions: SessionOptions,
  { workers, pinWorkers }: MirrorTeam,
): Promise<Session> {
  if (options.strong)
    throw new OptionError(
      "option `workers`: `cache: 'strong'` is watched by one thread: leave one of them out",
    )
  refuseUnlessNumbered(opened, options)
  const count = workers === 'auto' ? usableCpus().length : workers
  const data = dataFor(opened, options, Number.isInteger(count) && count > 0 && count <= 256 ? count : 1)
  try {
    const worker = new URL('dist/filesystems/mirror/worker.js', import.meta.resolve('devfuse/package.json'))
    return await mount(mountPoint, worker, {
      ...mountOptions,
      worker: false,
      workers: count,
      pinWorkers,
      data,
    })
  } catch (error) {
    data.sources.forEach((_, index) => closeOnce(data, index))
    throw error
  }
}

function dataFor(opened: Source, options: ResolvedMirrorOptions, count: number): MirrorData {
  const dup = (fd: number): number => (fd < 0 ? fd : syscalls.fcntl(fd, F_DUPFD_CLOEXEC))
  const open = new SharedArrayBuffer(4 * count)
  new Int32Array(open).fill(1)
  return {
    source: opened.path,
    sources: Array.from({ length: count }, () => ({
      ...opened,
      fd: dup(opened.fd),
      mountFd: dup(opened.mountFd),
    })),
    open,
    // What else the options say belongs to the mount, and cannot be copied.
    options: { ...options, passthrough: 'off', session: {} },
    crew: {
      key: `devfuse-mirror-${crypto.randomUUID()}`,
      memory: shareMemory(),
      threads: count,
      joined: new SharedArrayBuffer(4),
    },
  }
}

function refuseUnlessNumbered(opened: Source, options: ResolvedMirrorOptions): void {
  const because = 'with several workers any thread has to find a file by its inode number'
  if (!new Tree(opened, options).numbered) {
    const missing = process.geteuid?.() === 0 ? `${opened.path} is on none of these` : 'this user is not root'
    throw new OptionError(
      `option \`workers\`: ${because}, which takes root and a source on ext4, xfs or btrfs; ${missing}: leave it out`,
    )
  }
  const below = mountBelow(opened.path)
  if (below === undefined) return
  throw new OptionError(
    `option \`workers\`: ${because}, and ${below} is mounted below the source: mirror it by itself, or leave \`workers\` out`,
  )
}
