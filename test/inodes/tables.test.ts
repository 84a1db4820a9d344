// The building blocks for authors: lookup counts, nodeids that are never reused, handles that are.
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { HandleTable, Inode, InodeTable, ROOT_NODEID } from 'devfuse/inodes'

class Node extends Inode {
  readonly name: string
  constructor(name: string) {
    super()
    this.name = name
  }
}

test('a node stays until every lookup is given back', () => {
  const table = new InodeTable(new Node('root'))
  const node = table.add(new Node('a'))
  assert.notEqual(node.nodeid, ROOT_NODEID)
  table.remember(node)
  table.remember(node)
  assert.equal(table.forget(node.nodeid, 1), undefined)
  assert.equal(table.get(node.nodeid), node)
  assert.equal(table.forget(node.nodeid, 1), node)
  assert.equal(table.get(node.nodeid), undefined)
  assert.equal(table.forget(node.nodeid, 1), undefined)
})

test('the root has nodeid 1 and is never forgotten', () => {
  const table = new InodeTable(new Node('root'))
  assert.equal(table.root.nodeid, ROOT_NODEID)
  assert.equal(table.forget(ROOT_NODEID, 1_000_000), undefined)
  assert.equal(table.get(ROOT_NODEID), table.root)
})

test('nodeids are never reused', () => {
  const table = new InodeTable(new Node('root'))
  const seen = new Set<number>()
  for (let i = 0; i < 100; i++) {
    const node = table.add(new Node(`n${i}`))
    table.remember(node)
    assert.ok(!seen.has(node.nodeid))
    seen.add(node.nodeid)
    table.forget(node.nodeid, 1)
  }
  assert.equal(table.size, 1)
  assert.deepEqual(
    [...table].map(({ name }) => name),
    ['root'],
  )
})

test('a nodeid that somebody asked for is not given to another node', () => {
  const table = new InodeTable(new Node('root'))
  const asked = table.add(new Node('a'), 2)
  const next = table.add(new Node('b'))
  const taken = table.add(new Node('c'), 2)
  assert.deepEqual([asked.nodeid, next.nodeid, taken.nodeid], [2, 3, 4])
  assert.equal(table.get(2), asked)
  assert.equal(table.size, 4)
})

test('handles start at 1, are reused, and are removed once', () => {
  const table = new HandleTable<string>()
  const a = table.add('a')
  const b = table.add('b')
  assert.deepEqual([a, b], [1, 2])
  assert.equal(table.remove(a), 'a')
  assert.equal(table.remove(a), undefined)
  assert.equal(table.get(a), undefined)
  assert.equal(table.get(0), undefined)
  assert.equal(table.add('c'), a)
  assert.deepEqual([...table].toSorted(), ['b', 'c'])
  assert.equal(table.size, 2)
})
