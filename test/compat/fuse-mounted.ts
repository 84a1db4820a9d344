// Mounts of `devfuse/compat/fuse-native` in tests: they go away again whatever happens.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestContext } from 'node:test'
import Fuse from 'devfuse/compat/fuse-native'
import type { Handlers, Options } from 'devfuse/compat/fuse-native'
import { findMount } from '#dist/device/mountinfo.js'
import { abortMount, cleanup, temporary } from '../support/mounting.js'

export interface FuseMounted {
  mnt: string
  fuse: Fuse
  /** Messages of process warnings while it was mounted. */
  warnings: string[]
}

/** An empty directory to mount on. */
export function mountPoint(t: TestContext): string {
  const mnt = join(temporary(t), 'mnt')
  mkdirSync(mnt)
  cleanup(t, () => clear(mnt))
  return mnt
}

/** Mounts handlers for the duration of a test. */
export async function fuseMounted(
  t: TestContext,
  handlers: Handlers,
  options: Options = {},
  Class: typeof Fuse = Fuse,
): Promise<FuseMounted> {
  const mnt = mountPoint(t)
  const warnings: string[] = []
  const listen = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listen)
  cleanup(t, () => process.off('warning', listen))
  const fuse = new Class(mnt, handlers, options)
  await promisify(fuse.mount.bind(fuse))()
  cleanup(t, () => clear(mnt))
  return { mnt, fuse, warnings }
}

async function clear(mnt: string): Promise<void> {
  while (findMount(mnt) !== undefined) {
    const abort = setTimeout(() => abortMount(mnt), 5000)
    await promisify(Fuse.unmount)(mnt)
    clearTimeout(abort)
  }
}
