// What a strong mirror remembers of its own changes. Without a mount.
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Recent } from '#dist/filesystems/mirror/recent.js'
import type { MirrorInode } from '#dist/filesystems/mirror/inode.js'

const inode = (nodeid: number): MirrorInode => ({ nodeid, memory: null }) as unknown as MirrorInode
const stat = { size: 1 } as unknown as Parameters<Recent['set']>[1]

test('changes of its own are remembered until their events have been heard, and not where none will be', () => {
  const recent = new Recent()
  const [directory, file] = [inode(1), inode(2)]
  recent.made(directory, 'a', file)
  recent.set(file, stat)
  assert.equal(recent.madeOf(directory, 'a'), 2)
  recent.end()
  assert.deepEqual([recent.madeOf(directory, 'a'), file.memory?.set], [undefined, undefined])
  recent.made(directory, 'b', file)
  recent.set(file, stat)
  assert.deepEqual([recent.madeOf(directory, 'b'), file.memory?.set], [undefined, undefined])
  recent.close()
})
