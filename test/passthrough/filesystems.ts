// The filesystems that backing files lie on in these tests: each freshly made, mounted for the duration of a test file.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run, sh } from '../support/mounting.js'
import { temporary } from '../mirror/mounted.js'

export const filesystems = ['ext4', 'xfs', 'btrfs', 'tmpfs', 'overlay'] as const

export type FilesystemName = (typeof filesystems)[number]

export interface Backing {
  /** A directory on the filesystem; empty where there is none. */
  readonly path: string
  /** Why there is none. */
  readonly missing: string
  remove(): Promise<void>
}

/** Kernel: `mkfs.xfs` makes nothing smaller than 300 MiB. The image is sparse. */
const IMAGE_SIZE = '512M'

/** Makes a filesystem and mounts it; where the kernel or the tools lack it, says so. */
export async function backing(name: FilesystemName): Promise<Backing> {
  const dir = temporary()
  const path = join(dir, 'backing')
  mkdirSync(path)
  const remove = async () => {
    await sh(`umount -l ${path} 2>/dev/null || true`)
    rmSync(dir, { recursive: true })
  }
  const known = readFileSync('/proc/filesystems', 'utf8')
    .split('\n')
    .some((line) => line.trim().split(/\s+/).pop() === name)
  const made = known
    ? await run('sh', ['-ec', script(name, dir, path)])
    : { code: 1, stderr: 'not in /proc/filesystems' }
  return made.code === 0
    ? { path, missing: '', remove }
    : { path: '', missing: `no ${name} here: ${made.stderr.trim()}`, remove }
}

function script(name: FilesystemName, dir: string, path: string): string {
  if (name === 'tmpfs') return `mount -t tmpfs -o size=256M tmpfs ${path}`
  if (name === 'overlay') {
    const layers = ['lower', 'upper', 'work'].map((layer) => join(dir, layer))
    const [lower, upper, work] = layers
    return `mkdir ${layers.join(' ')} && mount -t overlay -o lowerdir=${lower},upperdir=${upper},workdir=${work} overlay ${path}`
  }
  const image = join(dir, 'image')
  return `truncate -s ${IMAGE_SIZE} ${image} && mkfs.${name} -q ${image} && mount -o loop ${image} ${path}`
}
