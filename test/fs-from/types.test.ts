// A view is typed as node:fs/promises is: what takes one takes the other.
import assert from 'node:assert/strict'
import type FsPromises from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { fsFrom } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'

type Missing = Exclude<keyof typeof FsPromises, keyof FsView>

describe('the type of a view', () => {
  it('is that of node:fs/promises, for all calls of it', async () => {
    // An error here at compile time names the calls that are missing or differ.
    const complete: Missing extends 'statfs' | 'glob' ? true : Missing = true
    const view = fsFrom({})
    const asNode: Omit<typeof FsPromises, Missing> = view
    const read = (fs: Pick<typeof FsPromises, 'readFile' | 'open'>): Promise<FileHandle> => fs.open('/')
    assert.equal(asNode.readFile, view.readFile)
    assert.equal(typeof read, 'function')
    assert.ok(complete)
    await view.close()
  })
})
