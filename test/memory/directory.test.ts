// Cookies of directories in memory: a listing goes on where it stopped, whatever was made or removed since.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Directory } from '#dist/filesystems/memory/directory.js'
import { MemoryInode } from '#dist/filesystems/memory/inode.js'

const inode = (): MemoryInode => new MemoryInode(0o100644, 0, 0, { sec: 0, nsec: 0 }, {})

describe('cookies', () => {
  it('find the next entry after many removals, among them the one they belong to', () => {
    const directory = new Directory()
    for (let i = 0; i < 1000; i++) directory.set(`${i}`, inode())
    const listed: string[] = []
    let cookie = 0
    for (let round = 0; round < 100; round++) {
      const part = [...directory.after(cookie, directory.lastCookie)].slice(0, 10)
      for (const { name } of part) {
        listed.push(name)
        directory.delete(name)
      }
      cookie = part.at(-1)!.cookie
    }
    assert.deepEqual(
      listed,
      Array.from({ length: 1000 }, (_, i) => `${i}`),
    )
    assert.equal(directory.size, 0)
  })

  it('show what stays exactly once while other names come and go', () => {
    const directory = new Directory()
    for (let i = 0; i < 500; i++) directory.set(`stay${i}`, inode())
    const seen = new Map<string, number>()
    let cookie = 0
    for (let round = 0; ; round++) {
      const [entry] = directory.after(cookie, directory.lastCookie)
      if (entry === undefined || round > 5000) break
      seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1)
      cookie = entry.cookie
      if (round < 500) {
        directory.set(`come${round}`, inode())
        directory.delete(`come${round - 1}`)
        directory.set(`stay${round}`, inode())
      }
    }
    for (let i = 0; i < 500; i++) assert.equal(seen.get(`stay${i}`), 1)
  })

  it('end where the listing began, so renaming while listing comes to an end', () => {
    const directory = new Directory()
    for (let i = 0; i < 100; i++) directory.set(`${i}`, inode())
    const last = directory.lastCookie
    let listed = 0
    for (const { name } of directory.after(0, last)) {
      listed++
      directory.delete(name)
      directory.set(`${name}'`, inode())
    }
    assert.equal(listed, 100)
  })
})
