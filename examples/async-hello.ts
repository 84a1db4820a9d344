// The hello of asynchronous handlers: what they await does not keep other requests waiting, and a caller that is
// interrupted ends the wait. Arguments: MNT and the milliseconds that everything takes.
import { setTimeout as delay } from 'node:timers/promises'
import { ENOENT, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const text = Buffer.from('Hello, a little later!\n')
const shared = { blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const root: Attr = { ...shared, ino: 1, mode: 0o040555, nlink: 2, size: 0 }
const hello: Attr = { ...shared, ino: 2, mode: 0o100444, nlink: 1, size: text.length }

/** Stands for a database or a network: takes its time, and gives up when nobody waits any more. */
async function load<Row>(row: Row, signal: AbortSignal): Promise<Row> {
  await delay(Number(process.argv[3] ?? 100), undefined, { signal })
  return row
}

const filesystem: Filesystem = {
  async lookup({ nodeid, name, signal }) {
    if (nodeid !== 1 || name !== 'hello') return ENOENT
    return { nodeid: 2, attr: await load(hello, signal) }
  },

  async getattr({ nodeid, signal }) {
    return { attr: await load(nodeid === 1 ? root : hello, signal) }
  },

  async *readdir({ offset, signal }) {
    const names = ['.', '..', 'hello']
    for (const name of await load(names.slice(offset), signal)) {
      yield name === 'hello' ? { name, ino: 2, type: 8 } : { name, ino: 1, type: 4 }
    }
  },

  async read({ offset, size, signal }) {
    return (await load(text, signal)).subarray(offset, offset + size)
  },
}

await using session = await mount(process.argv[2] ?? '/mnt', filesystem)
console.log(`mounted; in another terminal: time cat ${session.mountPoint}/hello`)
await session.closed
