// A directory with one file, which is a real file somewhere else: the kernel reads it there, without asking us.
// Arguments: MNT and the real file.
import { closeSync, openSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { ENOENT, EROFS, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const [mountPoint = '/mnt', file = '/etc/os-release'] = process.argv.slice(2)
const path = resolve(file)

const shared = { nlink: 1, blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const root: Attr = { ...shared, ino: 1, mode: 0o040555, size: 0 }
function attr(): Attr {
  const { size, mtimeMs } = statSync(path)
  return { ...shared, ino: 2, mode: 0o100444, size, mtime: Math.floor(mtimeMs / 1000) }
}

const filesystem: Filesystem = {
  lookup: ({ nodeid, name }) =>
    nodeid === 1 && name === basename(path) ? { nodeid: 2, attr: attr() } : ENOENT,
  getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : attr() }),
  readdir: ({ offset }) => [{ name: basename(path), ino: 2, type: 8 }].slice(offset),

  open({ flags }) {
    if ((flags & 3) !== 0) return EROFS
    const fd = openSync(path, 'r')
    // The library opens one backing id for the inode and closes it after the last release; where the kernel cannot pass
    // the file through, it serves the data from `fd` by itself.
    return { fh: fd, passthrough: fd }
  },

  release: ({ fh }) => closeSync(fh),
}

await using session = await mount(mountPoint, filesystem)
console.log(`mounted; in another terminal: cat ${session.mountPoint}/${basename(path)}`)
const { closed } = session
const report = setInterval(() => {
  const { operations, passthrough } = session.stats()
  console.log(`${passthrough.opens} opens passed through, ${operations.READ?.count ?? 0} READ requests`)
}, 1000)
await closed
clearInterval(report)
