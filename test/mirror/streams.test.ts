// Directories that are read by position alone: whole whatever was forgotten meanwhile, and within bounds. Without a mount.
import { strict as assert } from 'node:assert'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { ESTALE } from 'devfuse'
import type { Entry } from 'devfuse'
import { O_DIRECTORY, O_RDONLY, makeSyscalls } from 'devfuse/syscalls'
import { Listing } from '#dist/filesystems/mirror/listing.js'
import { accessOf, resolveMirrorOptions } from '#dist/filesystems/mirror/options.js'
import { closeSource, openSource } from '#dist/filesystems/mirror/source.js'
import { Streams } from '#dist/filesystems/mirror/streams.js'
import type { Stream } from '#dist/filesystems/mirror/streams.js'
import { Tree } from '#dist/filesystems/mirror/tree.js'
import { openFiles } from '../support/descriptors.js'
import { temporary } from './mounted.js'

const FILES = 4000
const sys = makeSyscalls('latin1')
let dir: string
/** All names, in the order of the directory. */
let order: string[]

before(() => {
  dir = temporary()
})
after(() => fs.rmSync(dir, { recursive: true }))
beforeEach(() => {
  const there = new Set(fs.readdirSync(dir))
  for (let i = 0; i < FILES; i++) if (!there.has(`file${i}`)) fs.writeFileSync(join(dir, `file${i}`), '')
  order = withListing((listing) => namesFrom(listing, 0))
  assert.equal(order.length, FILES + 2)
})

function withListing<Result>(use: (listing: Listing) => Result, lost?: number): Result {
  const fd = sys.openat(-1, dir, O_RDONLY | O_DIRECTORY)
  try {
    return use(new Listing(sys, fd, lost))
  } finally {
    sys.close(fd)
  }
}

function nameAt(listing: Listing, index: number): string {
  const name = listing.window.subarray(listing.start(index) + 19)
  return name.toString('latin1', 0, name.indexOf(0))
}

function namesFrom(listing: Listing, index: number): string[] {
  const names: string[] = []
  for (; listing.seek(index) > 0; index++) names.push(nameAt(listing, index))
  return names
}

function removeFirst(count: number): void {
  for (const name of order.slice(0, count)) if (name.startsWith('file')) fs.unlinkSync(join(dir, name))
}

test('a listing finds a position that it knows nothing of by counting', () => {
  for (const index of [1, 700, 3210, order.length - 1]) {
    const names = withListing((listing) => namesFrom(listing, index))
    assert.deepEqual(names, order.slice(index), String(index))
  }
  assert.equal(
    withListing((listing) => listing.seek(order.length), ESTALE),
    0,
  )
})

test('a position beyond the end is the end of an opened directory, and an error where the end would be kept', () => {
  const beyond = order.length + 1
  assert.equal(
    withListing((listing) => listing.seek(beyond)),
    0,
  )
  assert.equal(
    withListing((listing) => listing.seek(beyond), ESTALE),
    ESTALE,
  )
})

test('a thinned listing goes on exactly where it was, though names went before, and finds the rest by counting', () => {
  withListing((listing) => {
    for (let index = 0; index <= 3000; index++) assert.equal(listing.seek(index), 1)
    const all = listing.bytes
    listing.thin()
    assert.ok(listing.bytes < 100 && all > 10_000, `${listing.bytes} of ${all}`)
    listing.park()
    removeFirst(300)
    assert.deepEqual(namesFrom(listing, 3000), order.slice(3000))
  })
  order = order.filter((name) => name.startsWith('.') || fs.existsSync(join(dir, name)))
  withListing((listing) => {
    assert.equal(listing.seek(2000), 1)
    listing.thin()
    assert.deepEqual(namesFrom(listing, 10), order.slice(10))
    assert.deepEqual(namesFrom(listing, 3210), order.slice(3210))
  })
})

test('a listing is thinned twice, and a reader went back in between', () => {
  withListing((listing) => {
    for (let index = 0; index <= 3000; index++) assert.equal(listing.seek(index), 1)
    listing.thin()
    assert.equal(listing.seek(2990), 1)
    listing.park()
    listing.thin()
    assert.deepEqual(namesFrom(listing, 3000), order.slice(3000))
    assert.deepEqual(namesFrom(listing, 2990), order.slice(2990))
  })
})

/** What one stream reads of the source's root, window by window, up to entry `end`. */
function read(streams: Streams, tree: Tree, from = 0, end = Infinity): { names: string[]; position: number } {
  const names: string[] = []
  let position = from
  for (;;) {
    const stream = streams.at(tree.root, position)
    if (typeof stream === 'number') throw new Error(`errno ${stream}`)
    let index = streams.index(position)
    const state = stream.listing.seek(index)
    assert.ok(state >= 0, String(state))
    for (let left = 500; left > 0 && index < end && stream.listing.seek(index) > 0; left--)
      names.push(nameAt(stream.listing, index++))
    streams.settle(stream, state === 0)
    position = streams.base(stream) + index
    if (state === 0 || index >= end) return { names, position }
  }
}

function withStreams(use: (streams: Streams, tree: Tree) => void, limits?: { open: number; bytes: number }) {
  const options = resolveMirrorOptions({})
  const source = openSource(dir, accessOf(options.session))
  const tree = new Tree(source, options)
  const streams = new Streams(tree, limits)
  try {
    use(streams, tree)
  } finally {
    streams.clear()
    tree.dispose()
    closeSource(source)
  }
}

test('a reader that pauses while others look into directories reads all of its own', () => {
  withStreams((streams, tree) => {
    const begun = read(streams, tree, 0, 100)
    for (let i = 0; i < 700; i++) read(streams, tree, 0, 3)
    assert.deepEqual([...begun.names, ...read(streams, tree, begun.position).names], order)
  })
})

test('a position of a stream that was dropped, or never known, is read from none the less', () => {
  withStreams((streams, tree) => {
    const number = (streams.at(tree.root, 0) as Stream).number + 1000
    const { names } = read(streams, tree, number * 2 ** 27 + 1234)
    assert.deepEqual(names, order.slice(1234))
  })
})

test('memory for positions is bounded: what was read to its end goes first, then all but where readers stand', () => {
  const bytes = 250_000
  withStreams(
    (streams, tree) => {
      const paused = [1000, 2000, 3000].map((end) => read(streams, tree, 0, end))
      for (let i = 0; i < 20; i++) {
        assert.deepEqual(read(streams, tree).names, order)
        assert.ok(streams.bytes <= bytes, `${streams.bytes} bytes`)
      }
      // Exactly where they were: names that go before it do not move it.
      for (let i = 0; i < 10; i++) read(streams, tree, 0, 3900)
      assert.ok(streams.bytes <= bytes, `${streams.bytes} bytes`)
      removeFirst(300)
      for (const { names, position } of paused)
        assert.deepEqual([...names, ...read(streams, tree, position).names], order)
    },
    { open: 4, bytes },
  )
})

test('of a directory that the kernel has forgotten neither a descriptor nor memory is kept', () => {
  const open = (): number => openFiles().filter((link) => /\/forgotten( |$)/.test(link)).length
  withStreams((streams, tree) => {
    const begun = read(streams, tree, 0, 100)
    fs.mkdirSync(join(dir, 'forgotten'))
    const { nodeid } = tree.lookup(tree.root, tree.descriptor(tree.root), 'forgotten') as Entry
    const { bytes } = streams
    for (const ended of [true, false, false])
      streams.settle(streams.at(tree.inode(nodeid)!, 0) as Stream, ended)
    assert.ok(open() >= 2)
    fs.rmdirSync(join(dir, 'forgotten'))
    tree.forget(nodeid, 1)
    assert.deepEqual([open(), streams.bytes], [0, bytes])
    assert.deepEqual([...begun.names, ...read(streams, tree, begun.position).names], order)
  })
})
