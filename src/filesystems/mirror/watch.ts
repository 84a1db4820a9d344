// Watching the source's filesystems for changes by anybody (fanotify): marks, and events as (filesystem, inode number, name).
import { EMFILE, ENOSYS, EPERM, EXDEV, errnoName } from '../../protocol/index.js'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  ByteReader,
  FAN_ATTRIB,
  FAN_CLASS_NOTIF,
  FAN_CLOEXEC,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_EVENT_INFO_TYPE_DFID,
  FAN_EVENT_INFO_TYPE_DFID_NAME,
  FAN_EVENT_INFO_TYPE_FID,
  FAN_MARK_ADD,
  FAN_MARK_FILESYSTEM,
  FAN_MARK_FLUSH,
  FAN_MARK_IGNORE,
  FAN_MARK_IGNORED_SURV_MODIFY,
  FAN_MARK_MOUNT,
  FAN_MODIFY,
  FAN_MOVED_FROM,
  FAN_MOVED_TO,
  FAN_MOVE_SELF,
  FAN_NONBLOCK,
  FAN_ONDIR,
  FAN_Q_OVERFLOW,
  FAN_REPORT_DIR_FID,
  FAN_REPORT_FID,
  FAN_REPORT_NAME,
} from '../../syscalls/index.js'
import type { FilesystemStatistics, Syscalls } from '../../syscalls/index.js'
import { WATCHABLE, inoInHandle, isWatchable } from './handle-inodes.js'

const GROUP =
  FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME

const ENTRIES = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO
/** Kernel: writes through a mapping make no event until its file is closed for the last time. */
const CONTENTS = FAN_MODIFY | FAN_CLOSE_WRITE
/** Kernel: changes of the link count count as FAN_ATTRIB of the file. */
const ATTRIBUTES = FAN_ATTRIB | FAN_MOVE_SELF | CONTENTS
const MASK = ENTRIES | ATTRIBUTES | FAN_ONDIR

// struct fanotify_event_metadata, then records of struct fanotify_event_info_fid: header, fsid, struct file_handle.
const METADATA = 24
const INFO_FSID = 4
const INFO_HANDLE = 12
const INFO_BYTES = 20

const READ_SIZE = 65536
/** Reads in a row before the rest of the loop has its turn. */
const ROUNDS = 16
/** Milliseconds between one look and the next: what happens meanwhile comes as one batch, repetitions merged. */
const PAUSE = 2

/** A filesystem under watch. `key` is what the caller gave. */
interface Mark<Key> {
  readonly key: Key
  readonly type: number
  readonly fsid: readonly [number, number]
}

/** Who hears of the changes. */
export interface ChangeListener<Key> {
  /** An entry `name` of directory `ino` came, went or was replaced. */
  entry(key: Key, ino: number | bigint, name: string): void
  /** Attributes of `ino` have changed; with `contents` its data, too. */
  inode(key: Key, ino: number | bigint, contents: boolean): void
  /** Events were lost. */
  overflow(): void
  /** Nothing can be read any more; -errno. */
  ended(errno: number): void
  /** A batch is over; with `all` everything that had happened before now has been told. */
  told(all: boolean): void
}

export class Watch<Key> {
  readonly #sys: Syscalls
  readonly #listener: ChangeListener<Key>
  readonly #marks: Mark<Key>[] = []
  readonly #reader: ByteReader
  readonly #more = Buffer.allocUnsafeSlow(READ_SIZE)
  #again: NodeJS.Timeout | undefined
  #closed = false
  /** Events read. */
  events = 0

  private constructor(sys: Syscalls, fd: number, listener: ChangeListener<Key>) {
    this.#sys = sys
    this.#listener = listener
    this.#reader = new ByteReader(
      fd,
      READ_SIZE,
      (bytes) => this.#read(bytes),
      (errno) => listener.ended(errno),
    )
  }

  /** A watch of nothing yet, or -errno. */
  static open<Key>(sys: Syscalls, listener: ChangeListener<Key>): Watch<Key> | number {
    const fd = sys.fanotifyInit(GROUP)
    return fd < 0 ? fd : new Watch(sys, fd, listener)
  }

  /**
   * Watches the filesystem of `path` in `dirfd`, from now on: why not in words, or undefined. The same filesystem comes with the
   * same key again. With `own` the mount there is nobody else's, and what is written through it is no news.
   */
  add(
    key: Key,
    dirfd: number,
    path: string,
    statistics: FilesystemStatistics,
    own: boolean,
  ): string | undefined {
    const sys = this.#sys
    const { type, fsid } = statistics
    if (!isWatchable(type)) return `its filesystem is none of ${WATCHABLE}`
    const known = this.#markOf(...fsid)
    if (known !== undefined && known.key !== key)
      return (
        'its fsid is that of another filesystem under watch (a snapshot, a copy), and events name nothing else: ' +
        'give it a UUID of its own'
      )
    const handle = sys.nameToHandleAt(dirfd, path, path === '' ? AT_EMPTY_PATH : 0)
    if (
      typeof handle === 'number' ||
      inoInHandle(type, handle.type, Buffer.from(handle.handle, 'latin1'), 0) === undefined
    )
      return 'its filesystem has no file handles that the mirror knows'
    const at = path === '' ? '.' : path
    const result = sys.fanotifyMark(this.#reader.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, MASK, dirfd, at)
    if (result < 0) return `fanotify_mark failed: ${explain(result)}`
    if (own) {
      const how = FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY
      sys.fanotifyMark(this.#reader.fd, how, CONTENTS, dirfd, at)
    }
    if (known === undefined) this.#marks.push({ key, type, fsid })
    return undefined
  }

  /** From now on, what is written through mounts that were nobody else's is news, too. */
  hearOwn(): void {
    this.#sys.fanotifyMark(this.#reader.fd, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, '.')
  }

  start(): void {
    this.#reader.start()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#again)
    this.#reader.close()
  }

  #read(bytes: Buffer): void {
    this.#decode(bytes)
    let length = 1
    for (let round = 1; length > 0 && round < ROUNDS; round++) {
      length = this.#sys.read(this.#reader.fd, this.#more)
      if (length > 0) this.#decode(this.#more.subarray(0, length))
    }
    this.#listener.told(length <= 0)
    if (length > 0 || this.#closed) return
    this.#reader.stop()
    this.#again = setTimeout(() => this.#reader.start(), PAUSE)
  }

  #decode(bytes: Buffer): void {
    for (let at = 0, next = 0; at + METADATA <= bytes.length; at = next) {
      next = at + bytes.readUInt32LE(at)
      if (next < at + METADATA || next > bytes.length) return this.#listener.overflow()
      this.events++
      const mask = bytes.readUInt32LE(at + 8)
      if ((mask & FAN_Q_OVERFLOW) !== 0) this.#listener.overflow()
      else this.#event(bytes, mask, at + bytes.readUInt16LE(at + 6), next)
    }
  }

  /** The record of the object itself comes with that of the directory it was reached by; a directory only has its own. */
  #event(bytes: Buffer, mask: number, from: number, end: number): void {
    let directory = -1
    let object = -1
    for (let at = from; at < end; at += bytes.readUInt16LE(at + 2)) {
      const type = bytes[at]
      if (type === FAN_EVENT_INFO_TYPE_FID) object = at
      else if (type === FAN_EVENT_INFO_TYPE_DFID_NAME || type === FAN_EVENT_INFO_TYPE_DFID) directory = at
      if (bytes.readUInt16LE(at + 2) === 0) break
    }
    if ((mask & ENTRIES) !== 0 && directory >= 0) this.#tellEntry(bytes, directory)
    const about = object >= 0 ? object : directory
    if ((mask & ATTRIBUTES) !== 0 && about >= 0) this.#tellInode(bytes, about, (mask & CONTENTS) !== 0)
  }

  #tellEntry(bytes: Buffer, at: number): void {
    const file = this.#fileOf(bytes, at)
    if (file === undefined) return
    const name = at + INFO_BYTES + bytes.readUInt32LE(at + INFO_HANDLE)
    this.#listener.entry(file.key, file.ino, bytes.toString('latin1', name, bytes.indexOf(0, name)))
  }

  #tellInode(bytes: Buffer, at: number, contents: boolean): void {
    const file = this.#fileOf(bytes, at)
    if (file !== undefined) this.#listener.inode(file.key, file.ino, contents)
  }

  #markOf(low: number, high: number): Mark<Key> | undefined {
    return this.#marks.find(({ fsid }) => fsid[0] === low && fsid[1] === high)
  }

  /** The file that a record names; undefined where it lies on no filesystem that is watched. */
  #fileOf(bytes: Buffer, at: number): { key: Key; ino: number | bigint } | undefined {
    const low = bytes.readUInt32LE(at + INFO_FSID)
    const high = bytes.readUInt32LE(at + INFO_FSID + 4)
    const mark = this.#markOf(low, high)
    if (mark === undefined) return undefined
    const ino = inoInHandle(mark.type, bytes.readInt32LE(at + INFO_HANDLE + 4), bytes, at + INFO_BYTES)
    return ino === undefined ? undefined : { key: mark.key, ino }
  }
}

/** What an error of fanotify means here. */
export function explain(errno: number): string {
  if (errno === EPERM) return 'it takes root (CAP_SYS_ADMIN)'
  if (errno === EXDEV) return 'a btrfs subvolume cannot be watched alone; mirror the top of its filesystem'
  if (errno === EMFILE) return 'fs.fanotify.max_user_groups groups are in use'
  if (errno === ENOSYS) return 'the kernel was built without CONFIG_FANOTIFY'
  return errnoName(errno) ?? `errno ${-errno}`
}
