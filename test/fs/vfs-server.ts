// Mounts node:vfs, as a process of its own run by a Node that has it: MOUNTPOINT, and `provider` for a provider alone. Runs
// the shared cases without a mount first. Says `ready`, and unmounts at the end of standard input.
import assert from 'node:assert/strict'
import { fsFilesystem, fsFrom, mountFs, recognise } from 'devfuse/fs'
import { cases } from './shared-cases.js'

interface Vfs {
  create(): object
  MemoryProvider: new () => object
}

const [mountPoint = '', kind = ''] = process.argv.slice(2)
// Node 20 has neither the module nor its types.
const name: string = 'node:vfs'
const vfs = (await import(name)) as Vfs
const made = (): object => (kind === 'provider' ? new vfs.MemoryProvider() : vfs.create())

const view = fsFrom(fsFilesystem(recognise(made()).fs))
let at = 0
for (const [title, one] of Object.entries(cases)) {
  const dir = `/case-${at++}`
  await view.mkdir(dir)
  await one(view, dir).catch((error: unknown) => {
    throw new Error(`without a mount: ${title}`, { cause: error })
  })
  await view.rm(dir, { recursive: true })
}
assert.deepEqual(await view.close(), { open: [], inodes: [] })

const session = await mountFs(made(), mountPoint)
console.log('ready')
for await (const _ of process.stdin);
await session.unmount({ lazy: true })
