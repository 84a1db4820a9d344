// Owns the directory trees the tests work on: many small files with what a backup or a copy must get right.
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TreeOptions {
  directories: number
  filesEach: number
  /** Adds symlinks, hard links, unusual modes and names, holes and old times. */
  variety?: boolean
}

/** Makes a tree of plain files below `root`, the same one every time; returns the number of files. */
export function makeTree(root: string, { directories, filesEach, variety = false }: TreeOptions): number {
  let count = 0
  for (let d = 0; d < directories; d++) {
    const directory = join(root, `d${d % 10}`, `dir-${d}`)
    mkdirSync(directory, { recursive: true })
    for (let f = 0; f < filesEach; f++) {
      const path = join(directory, `file-${f}.txt`)
      writeFileSync(path, `${d}/${f}\n`.repeat((d * 7 + f * 13) % 97))
      count++
    }
    if (variety) varyDirectory(directory, d)
  }
  return count
}

function varyDirectory(directory: string, d: number): void {
  symlinkSync(`file-0.txt`, join(directory, 'relative'))
  symlinkSync(`/nowhere/at/all/${d}`, join(directory, 'dangling'))
  linkSync(join(directory, 'file-0.txt'), join(directory, 'second-name'))
  chmodSync(join(directory, 'file-1.txt'), 0o4711)
  chmodSync(join(directory, 'file-2.txt'), 0o600)
  utimesSync(join(directory, 'file-3.txt'), 1_000_000_000.123456, 1_000_000_000.654321)
  writeFileSync(join(directory, 'späce and\nnewline'), '')
  // A name that is no UTF-8: it must pass byte by byte.
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/raw-`), Buffer.from([0xff, 0xfe])]), 'raw')
  mkdirSync(join(directory, 'empty'), { mode: 0o2750 })
}
