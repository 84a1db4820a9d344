// What simple.ts keeps on disk: the data of each file in a file of its own, everything else in one index.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ENOENT, ENOTEMPTY } from 'devfuse'
import type { Attr, Errno } from 'devfuse'

export type Inode = Attr & { ino: number; entries?: Map<string, number>; target?: string }

const S_IFDIR = 0o040000
const now = (): number => Math.floor(Date.now() / 1000)

export class Store {
  readonly #directory: string
  readonly #inodes = new Map<number, Inode>()
  /** Lookups that the kernel holds: what it knows must stay, even without a name. */
  readonly #lookups = new Map<number, number>()
  #last = 1

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
    if (!existsSync(this.#index)) this.make({ mode: S_IFDIR | 0o755, entries: new Map() }, 1)
    else this.#load()
  }

  /** Path of the file with the data of an inode. */
  data(ino: number): string {
    return join(this.#directory, String(ino))
  }

  /** The inode; throws an ESTALE where there is none. */
  get(ino: number): Inode {
    const inode = this.#inodes.get(ino)
    if (inode !== undefined) return inode
    throw Object.assign(new Error(`no inode ${ino}`), { code: 'ESTALE' })
  }

  entries(ino: number): Map<string, number> {
    const { entries } = this.get(ino)
    if (entries === undefined) throw Object.assign(new Error(`${ino} is a file`), { code: 'ENOTDIR' })
    return entries
  }

  make(fields: Partial<Inode> & { mode: number }, ino = ++this.#last): Inode {
    const times = { atime: now(), mtime: now(), ctime: now() }
    const inode = { ino, size: 0, blocks: 0, nlink: 1, uid: 0, gid: 0, ...times, ...fields }
    this.#inodes.set(ino, inode)
    return inode
  }

  /** The content of an inode has changed. */
  touch(ino: number): Inode {
    return Object.assign(this.get(ino), { mtime: now(), ctime: now() })
  }

  /** The kernel has learnt of the inode `by` times, or forgotten it that often. */
  known(ino: number, by: number): void {
    this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + by)
    this.drop(ino)
  }

  /** Forgets an inode that has neither a name nor anybody who knows it. */
  drop(ino: number): void {
    if (this.get(ino).nlink > 0 || (this.#lookups.get(ino) ?? 0) > 0) return
    this.#inodes.delete(ino)
    rmSync(this.data(ino), { force: true })
  }

  /** Takes a name away, and the inode with its last one. */
  remove(parent: number, name: string): void | Errno {
    const ino = this.entries(parent).get(name)
    if (ino === undefined) return ENOENT
    const inode = this.get(ino)
    if (inode.entries !== undefined && inode.entries.size > 0) return ENOTEMPTY
    this.entries(parent).delete(name)
    this.touch(parent)
    inode.nlink--
    this.drop(ino)
  }

  save(): void {
    const plain = (_: string, value: unknown): unknown => (value instanceof Map ? [...value] : value)
    writeFileSync(`${this.#index}.new`, JSON.stringify([...this.#inodes.values()], plain))
    renameSync(`${this.#index}.new`, this.#index) // all of it or nothing, whenever we are stopped
  }

  get #index(): string {
    return join(this.#directory, 'index.json')
  }

  #load(): void {
    type Saved = Omit<Inode, 'entries'> & { entries?: [string, number][] }
    for (const inode of JSON.parse(readFileSync(this.#index, 'utf8')) as Saved[]) {
      this.#inodes.set(inode.ino, { ...inode, entries: inode.entries && new Map(inode.entries) })
      this.#last = Math.max(this.#last, inode.ino)
    }
    for (const ino of this.#inodes.keys()) this.drop(ino) // unlinked, but open when we were stopped
  }
}
