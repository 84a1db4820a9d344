// Listings with cache times in seconds: from a minute on the kernel keeps them, as long as the directory's time stays.
import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { MirrorOptions } from 'devfuse/mirror'
import { cleanup } from '../support/mounting.js'
import { Mirrored, temporary } from './mounted.js'
import type { Place } from './mounted.js'

const LONG = { entryValid: 100, attrValid: 100 }
const notRoot = process.geteuid?.() === 0 ? false : 'kept listings take root'

async function start(t: TestContext, options: MirrorOptions, place: Place = {}): Promise<Mirrored> {
  const mirrored = await Mirrored.start(options, place)
  cleanup(t, () => mirrored.stop())
  fs.mkdirSync(join(mirrored.src, 'dir'))
  for (let i = 0; i < 300; i++) fs.writeFileSync(join(mirrored.src, 'dir', `name${i}`), '')
  return mirrored
}

/** Requests for directories that two more listings cost, after a first one. */
async function asked(mirrored: Mirrored): Promise<number> {
  const dir = join(mirrored.mnt, 'dir')
  const count = async (): Promise<number> => {
    const { operations } = await mirrored.known()
    return ['OPENDIR', 'READDIR', 'READDIRPLUS'].reduce(
      (sum, name) => sum + (operations[name]?.count ?? 0),
      0,
    )
  }
  assert.equal(fs.readdirSync(dir).length, 300)
  const before = await count()
  for (let i = 0; i < 2; i++) assert.equal(fs.readdirSync(dir).length, 300)
  return (await count()) - before
}

for (const passthrough of ['auto', 'off'] as const) {
  test(
    `passthrough ${passthrough}: are kept for long times, and read anew after a change`,
    { skip: notRoot },
    async (t) => {
      const mirrored = await start(t, { passthrough, cache: LONG })
      assert.equal(await asked(mirrored), 0)
      const [src, mnt] = [join(mirrored.src, 'dir'), join(mirrored.mnt, 'dir')]
      fs.writeFileSync(join(src, 'behind it'), '')
      assert.equal(fs.readdirSync(mnt).length, 300)
      // The answer brings the directory's time, as asking for attributes that have grown old does.
      fs.chmodSync(mnt, 0o700)
      assert.ok(fs.readdirSync(mnt).includes('behind it'))
      assert.equal(fs.statSync(join(mnt, 'behind it')).size, 0)

      fs.writeFileSync(join(mnt, 'through the mount'), '')
      assert.ok(fs.readdirSync(mnt).includes('through the mount'))
      fs.rmSync(join(mnt, 'through the mount'))
      assert.equal(fs.readdirSync(mnt).length, 301)
    },
  )
}

for (const [what, options] of <[string, MirrorOptions][]>[
  ['the default', {}],
  ['half a minute', { cache: { entryValid: 30, attrValid: 30 } }],
  ['access times that every listing moves', { cache: LONG, strictatime: true }],
  ['the flag of the kernel refused', { cache: LONG, refuse: ['FUSE_NO_OPENDIR_SUPPORT'] }],
]) {
  test(`are asked for every time with ${what}`, async (t) => {
    assert.ok((await asked(await start(t, options))) >= 6)
  })
}

test('are asked for every time where something is mounted below the source', { skip: notRoot }, async (t) => {
  const place = temporary()
  // mountinfo writes the space in another way.
  const [src, mounted] = [join(place, 'the source'), join(place, 'the source/mounted')]
  fs.mkdirSync(mounted, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', 'none', mounted])
  cleanup(t, () => {
    execFileSync('umount', [mounted])
    fs.rmSync(place, { recursive: true })
  })
  const mirrored = await start(t, { cache: LONG }, { src, mnt: join(place, 'mnt') })
  assert.ok((await asked(mirrored)) >= 6)
})

test('tell of names that the kernel takes for missing, in every directory', async (t) => {
  const mirrored = await Mirrored.start({ cache: { negativeValid: 60 } })
  cleanup(t, () => mirrored.stop())
  const { src, mnt } = mirrored
  for (const name of ['a', 'b', 'c']) {
    fs.mkdirSync(join(src, name))
    assert.throws(() => fs.statSync(join(mnt, name, 'file')), { code: 'ENOENT' })
    fs.writeFileSync(join(src, name, 'file'), 'text')
    assert.deepEqual(fs.readdirSync(join(mnt, name)), ['file'])
    assert.equal(fs.statSync(join(mnt, name, 'file')).size, 4)
  }
})

test('of many directories without their files cost neither a lookup nor an inode of a file', async (t) => {
  const mirrored = await Mirrored.start()
  cleanup(t, () => mirrored.stop())
  const { src, mnt } = mirrored
  for (let i = 0; i < 50; i++) {
    fs.mkdirSync(join(src, `dir${i}`))
    for (let k = 0; k < 20; k++) fs.writeFileSync(join(src, `dir${i}/file${k}`), '')
  }
  const names = execFileSync('find', [mnt], { encoding: 'utf8', timeout: 60_000 })
  assert.equal(names.trimEnd().split('\n').length, 1051)
  const { inodes, operations } = await mirrored.known()
  assert.ok(inodes < 100, `${inodes} inodes`)
  assert.ok((operations['LOOKUP']?.count ?? 0) < 100)
  // Whoever uses the files gets their attributes with the names.
  const sizes = execFileSync('du', ['-s', '--apparent-size', mnt], { encoding: 'utf8', timeout: 60_000 })
  assert.match(sizes, /^\d+/)
  const after = (await mirrored.known()).operations['LOOKUP']?.count ?? 0
  assert.ok(after - (operations['LOOKUP']?.count ?? 0) < 200, `${after} lookups`)
})
