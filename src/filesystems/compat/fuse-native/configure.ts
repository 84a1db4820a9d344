// What fuse-native does to a machine before it can mount. Here there is nothing to install: /dev/fuse has to be there.
import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { callbackify } from 'node:util'

type Done = (error?: Error | null) => void

/** Whether this process can mount: /dev/fuse opens, and it is root or fusermount3 is installed. */
export function isConfigured(done: (error: Error | null, configured?: boolean) => void): void {
  callbackify(async () => (await whatIsMissing()) === undefined)(done)
}

/** Loads the kernel module where it is missing, which takes root. Fails where mounting stays impossible, and says why. */
export function configure(done: Done = nothing): void {
  callbackify(async () => {
    await loadModule()
    const missing = await whatIsMissing()
    if (missing !== undefined) throw new Error(`Could not configure fuse: ${missing}`)
  })(done)
}

/** Nothing was configured, so there is nothing to undo. */
export function unconfigure(done: Done = nothing): void {
  process.nextTick(done)
}

/** Loads the kernel module where it is missing. */
export function beforeMount(done: Done = nothing): void {
  configure(done)
}

/** Nothing to do. */
export function beforeUnmount(done: Done = nothing): void {
  process.nextTick(done)
}

async function whatIsMissing(): Promise<string | undefined> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (error) {
    return `/dev/fuse says ${(error as NodeJS.ErrnoException).code}; \`devfuse doctor\` says what to do`
  }
  if (process.geteuid?.() === 0) return undefined
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(
    folders.map((folder) => access(join(folder, 'fusermount3'), constants.X_OK).then(yes, no)),
  )
  return found.includes(true)
    ? undefined
    : 'You need to be root, or install fusermount3 (Debian: package fuse3)'
}

async function loadModule(): Promise<void> {
  if (await access('/dev/fuse').then(yes, no)) return
  // What comes of it shows in whether the device is there.
  await new Promise<void>((resolve) => execFile('modprobe', ['fuse'], { timeout: 10_000 }, () => resolve()))
}

const yes = (): boolean => true
const no = (): boolean => false

function nothing(): void {}
