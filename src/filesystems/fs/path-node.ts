// One file or directory that is known: its place in the tree, and what is remembered of it because the object can't hold it.
import { Inode } from '../../inodes/index.js'
import type { Attr } from '../../index.js'
import { S_IFDIR, S_IFLNK, S_IFMT } from '../../syscalls/index.js'
import type { Content } from './content.js'
import { failure } from './failure.js'
import type { OpenFile } from './open-file.js'

/** What the object has no method for, kept for the life of the mount. Times are seconds since 1970. */
export interface Remembered {
  /** Permission bits. */
  mode?: number
  uid?: number
  gid?: number
  atime?: number
  mtime?: number
  ctime?: number
  /** The `mtime` that the object told when ours was set: once it tells another one, ours is out of date. */
  mtimeThen?: number
  /** A directory that the object has no way to keep. */
  directory?: boolean
  /** Target of a symlink that the object has no way to keep. */
  symlink?: string
}

/** A name of a file: its directory, and the name in it. */
export interface Place {
  readonly parent: PathNode
  readonly name: string
}

export class PathNode extends Inode {
  /** The first of its names; null for the root and for what has no name any more. */
  place: Place | null
  /** Further names, of hard links. */
  aliases: Place[] | undefined
  /** Known entries, of directories. */
  children: Map<string, PathNode> | undefined
  /** Shown by stat(2). */
  ino: number
  /** Number that the object has for it, undefined where it tells none. */
  objectIno: number | undefined
  /** As last seen: type and permission bits, group. */
  mode: number
  gid = 0
  /** The object told no size: what was read last, until then 0. */
  sizeUnknown = false
  sizeRead = 0
  remembered: Remembered | undefined
  /** The object tells when it was changed. */
  timed = true
  /** What several names of one file have in common, where the object tells. */
  linkKey: string | undefined
  /** Open files, undefined where there are none. */
  opens: Set<OpenFile> | undefined
  /** Content in memory, of objects without handles. */
  content: Content | undefined
  /** Has lost its last name. */
  gone = false
  /** Where it is kept though it was removed, because it is open. */
  hiddenPath: string | undefined
  /** As last shown; what is told once it has no name. */
  attr: Attr | undefined
  /** The object told mtime and ctime. */
  dated = false
  /** The kernel may hold pages that only an open can drop: see page-cache.ts. */
  racy = false
  #path: string | undefined

  constructor(place: Place | null, mode: number, ino: number) {
    super()
    this.place = place
    this.mode = mode
    this.ino = ino
  }

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR
  }

  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK
  }

  /** Absolute path of its first name, or of where it is hidden. */
  get path(): string {
    return this.#path ?? this.#makePath()
  }

  /** Whether `path` is still where it is. */
  isAt(path: string): boolean {
    return (!this.gone || this.hiddenPath !== undefined) && this.path === path
  }

  /** Path of an entry of this directory. */
  pathOf(name: string): string {
    const path = this.#path ?? this.#makePath()
    return path === '/' ? `/${name}` : `${path}/${name}`
  }

  /** Forgets cached paths, here and below: something on the way was renamed. */
  moved(): void {
    this.#path = undefined
    if (this.children !== undefined) for (const child of this.children.values()) child.moved()
  }

  /** What is remembered of it, made when first needed. */
  remember(): Remembered {
    return (this.remembered ??= {})
  }

  /** Nothing holds it but the kernel's lookups. */
  get idle(): boolean {
    return (
      (this.remembered === undefined || this.gone) &&
      this.opens === undefined &&
      (this.children === undefined || this.children.size === 0)
    )
  }

  #makePath(): string {
    if (this.hiddenPath !== undefined) return (this.#path = this.hiddenPath)
    if (this.place === null) {
      if (!this.gone) return (this.#path = '/')
      throw failure('ESTALE', 'the file has no name any more')
    }
    return (this.#path = this.place.parent.pathOf(this.place.name))
  }
}
