// What the threads of compressed.ts serve: an archive of compressed blocks, decompressed as it is read. Every number that the
// kernel is given comes from the archive, so it means the same to each of them: that is what `shareable` declares.
import { closeSync, fstatSync, openSync, readFileSync, readSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'
import { DT_DIR, DT_REG } from 'devfuse/syscalls'

const BLOCK = 128 * 1024

interface Packed {
  name: string
  size: number
  /** Where each block ends in the archive; the first one begins at `start`. */
  start: number
  ends: number[]
}

/** Writes the files of a directory into one archive: blocks, then the list of files, then the length of the list. */
export function pack(directory: string, archive: string): void {
  const out = openSync(archive, 'w')
  let at = 0
  const files: Packed[] = []
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = readFileSync(join(directory, entry.name))
    const file: Packed = { name: entry.name, size: bytes.byteLength, start: at, ends: [] }
    for (let from = 0; from < bytes.byteLength; from += BLOCK) {
      const packed = deflateRawSync(bytes.subarray(from, from + BLOCK))
      writeFileSync(out, packed)
      file.ends.push((at += packed.length))
    }
    files.push(file)
  }
  const list = Buffer.from(JSON.stringify(files))
  writeFileSync(out, list)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(list.byteLength)
  writeFileSync(out, length)
  closeSync(out)
}

function read(fd: number, from: number, to: number): Buffer {
  const bytes = Buffer.allocUnsafe(to - from)
  if (readSync(fd, bytes, 0, bytes.byteLength, from) < bytes.byteLength)
    throw new Error('the archive is cut off')
  return bytes
}

/** Each thread calls this with the `data` of mount(). */
export default function compressed({ archive }: { archive: string }): Filesystem {
  const fd = openSync(archive, 'r')
  const { size, mtimeMs } = fstatSync(fd)
  const listAt = size - 4 - read(fd, size - 4, size).readUInt32LE()
  const files = JSON.parse(read(fd, listAt, size - 4).toString()) as Packed[]
  const numbers = new Map(files.map(({ name }, index) => [name, index + 2]))
  const attr = (nodeid: number): Attr => ({
    ...{ ino: nodeid, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: mtimeMs / 1000, ctime: 0, blocks: 0 },
    size: files[nodeid - 2]?.size ?? 0,
    mode: nodeid === 1 ? 0o040755 : 0o100444,
  })
  const listing = [
    { name: '.', ino: 1, type: DT_DIR },
    { name: '..', ino: 1, type: DT_DIR },
    ...files.map(({ name }, index) => ({ name, ino: index + 2, type: DT_REG })),
  ]
  return {
    shareable: true,
    lookup({ name }) {
      const nodeid = numbers.get(name)
      return nodeid === undefined ? ENOENT : { nodeid, attr: attr(nodeid), entryValid: 60, attrValid: 60 }
    },
    getattr: ({ nodeid }) => ({ attr: attr(nodeid), attrValid: 60 }),
    readdir: ({ offset }) => listing.slice(offset),
    read({ nodeid, offset, size: wanted }) {
      const file = files[nodeid - 2]
      if (file === undefined) return ENOENT
      const end = Math.min(offset + wanted, file.size)
      const first = Math.floor(offset / BLOCK)
      const blocks: Buffer[] = []
      for (let index = first; index * BLOCK < end; index++) {
        const from = index === 0 ? file.start : file.ends[index - 1]
        blocks.push(inflateRawSync(read(fd, from, file.ends[index])))
      }
      return Buffer.concat(blocks).subarray(offset - first * BLOCK, Math.max(end - first * BLOCK, 0))
    },
    destroy: () => closeSync(fd),
  }
}
