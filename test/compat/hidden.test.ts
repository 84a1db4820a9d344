// Files that lose their name while they are open, and are closed at the wrong moment: on a view, without a mount.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Fuse from 'devfuse/compat/fuse-native'
import { fsFrom } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'
import { filesystemOf } from '#dist/filesystems/compat/fuse-native/filesystem.js'
import { HandlerCalls } from '#dist/filesystems/compat/fuse-native/handler-calls.js'
import { meaningOf } from '#dist/filesystems/compat/fuse-native/options.js'
import { CallbackStore } from './callback-store.js'

/** The paths of a store after `step` took the name of `/a`, which is open until the store is asked to move `closedBy`. */
async function left(
  step: (view: FsView) => Promise<unknown>,
  closedBy: string,
  fails = false,
): Promise<string[]> {
  const store = new CallbackStore()
  const view = fsFrom(filesystemOf(new HandlerCalls(store, undefined, false), meaningOf('').settings))
  await view.writeFile('/a', 'a')
  await view.writeFile('/b', 'b')
  const file = await view.open('/a')
  const rename = store.rename.bind(store)
  store.rename = async (src, dest, cb) => {
    if (src === closedBy) await file.close()
    if (src === '/b' && fails) cb(Fuse.EACCES)
    else rename(src, dest, cb)
  }
  await step(view)
  await view.close()
  return [...store.items.keys()].sort()
}

describe('a file that is closed while its name is being taken away', { timeout: 60_000 }, () => {
  it('does not stay under another one', async () => {
    assert.deepEqual(await left((view) => view.unlink('/a'), '/a'), ['/', '/b'])
    for (const closedBy of ['/a', '/b'])
      assert.deepEqual(await left((view) => view.rename('/b', '/a'), closedBy), ['/', '/a'])
  })

  it('keeps it where what was to take its place fails', async () => {
    const rename = (view: FsView): Promise<void> =>
      assert.rejects(view.rename('/b', '/a'), { code: 'EACCES' })
    for (const closedBy of ['/a', '/b', 'never'])
      assert.deepEqual(await left(rename, closedBy, true), ['/', '/a', '/b'])
  })
})
