// The bounded set of path descriptors, where no file handles lead back: handlers called directly, deep chains of directories.
import { strict as assert } from 'node:assert'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MirrorFilesystem } from 'devfuse/mirror'
import { assemble } from '#dist/filesystems/mirror/index.js'
import { accessOf, resolveMirrorOptions } from '#dist/filesystems/mirror/options.js'
import { closeSource, openSource } from '#dist/filesystems/mirror/source.js'
import { eachMirrored } from './asked.js'

const LIMIT = 16
const DEPTH = 40

let dir: string
let filesystem: MirrorFilesystem
const { ask, get } = eachMirrored(
  (one) => ({ dir, filesystem } = one),
  (src) => {
    const options = resolveMirrorOptions({ maxPathDescriptors: LIMIT })
    const source = openSource(src, accessOf(options.session))
    return assemble(src, { ...source, mountFd: -1 }, options, () => closeSource(source))
  },
)

/** A chain of directories below the root: its last one, with the file `name` in it; other files of that name lie on the way. */
function chain(letter: string): { path: string; nodeid: number } {
  let path = dir
  let nodeid = 1
  for (let depth = 0; depth < DEPTH; depth++) {
    path = join(path, `${letter}${depth}`)
    fs.mkdirSync(path)
    fs.writeFileSync(join(path, 'name'), `in ${letter}${depth}`)
    nodeid = get('lookup', { nodeid, name: `${letter}${depth}` }).nodeid
    get('lookup', { nodeid, name: 'name' })
  }
  return { path, nodeid }
}

/** Other directories get all the descriptors that may be held. */
function crowd(): void {
  for (let i = 0; i < LIMIT; i++) {
    fs.mkdirSync(join(dir, `crowd${i}/sub`), { recursive: true })
    const { nodeid } = get('lookup', { name: `crowd${i}` })
    get('lookup', { nodeid, name: 'sub' })
  }
}

const text = (path: string): string => fs.readFileSync(join(path, 'name'), 'utf8')

test('a rename between two deep directories works in these two', () => {
  const [from, to] = [chain('a'), chain('b')]
  crowd()
  const answer = ask('rename', { nodeid: from.nodeid, name: 'name', newdir: to.nodeid, newname: 'name' })
  assert.equal(answer, undefined)
  assert.equal(text(to.path), `in a${DEPTH - 1}`)
  assert.ok(!fs.existsSync(join(from.path, 'name')))
  assert.ok(filesystem.known.pathDescriptors <= LIMIT)
})

test('a link between two deep directories works in these two', () => {
  const [from, to] = [chain('a'), chain('b')]
  const { nodeid } = get('lookup', { nodeid: from.nodeid, name: 'name' })
  crowd()
  get('link', { nodeid: to.nodeid, oldnodeid: nodeid, newname: 'other' })
  assert.equal(fs.readFileSync(join(to.path, 'other'), 'utf8'), `in a${DEPTH - 1}`)
  assert.ok(filesystem.known.pathDescriptors <= LIMIT)
})
