// Passthrough without privileges: the server mounts, becomes nobody, and asks a helper process that still is root for the
// backing ids of its files. Arguments: MNT and the directory whose files are shown, read-only.
import { execFileSync, fork } from 'node:child_process'
import { closeSync, openSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BackingId, ENOENT, EROFS, mount } from 'devfuse'
import type { Filesystem } from 'devfuse'

const [mountPoint = '/mnt', directory = '/etc'] = process.argv.slice(2)
const NOBODY = 65534
const DEVICE = 4 // the connection, among the helper's descriptors

type Order = { open: string } | { close: number }
type Answer = { name: string; id?: number; code?: string }

if (process.connected) help()
else await serve()

/** The privileged part: opens and closes backing ids, and unmounts when the server has gone. */
function help(): void {
  process.on('message', (order: Order) => {
    if ('close' in order) return BackingId.closeRaw(DEVICE, order.close)
    try {
      const fd = openSync(join(directory, basename(order.open)), 'r')
      process.send?.({ name: order.open, id: BackingId.createRaw(DEVICE, fd) } satisfies Answer)
      closeSync(fd)
    } catch (error) {
      process.send?.({ name: order.open, code: (error as NodeJS.ErrnoException).code } satisfies Answer)
    }
  })
  process.on('disconnect', () => {
    closeSync(DEVICE) // or the mount would still wait for somebody to answer
    execFileSync('umount', ['-l', mountPoint])
  })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined)
}

async function serve(): Promise<void> {
  const names = readdirSync(directory).filter((name) => statSync(join(directory, name)).isFile())
  const attrs = [directory, ...names.map((name) => join(directory, name))].map((path, i) => {
    const { mode, size, mtimeMs } = statSync(path)
    const mtime = Math.floor(mtimeMs / 1000)
    return { ino: i + 1, mode, size, mtime, nlink: 1, blocks: 0, atime: 0, ctime: mtime, uid: 0, gid: 0 }
  })
  /** One id for each file that is open, and how many times it is. */
  const open = new Map<number, { backing: Promise<BackingId>; opens: number }>()

  const filesystem: Filesystem = {
    lookup({ name }) {
      const nodeid = names.indexOf(name) + 2
      return nodeid < 2 ? ENOENT : { nodeid, attr: attrs[nodeid - 1], attrValid: 1, entryValid: 1 }
    },
    getattr: ({ nodeid }) => ({ attr: attrs[nodeid - 1], attrValid: 1 }),
    readdir: ({ offset }) => names.map((name, i) => ({ name, ino: i + 2, type: 8 })).slice(offset),

    async open({ nodeid, flags }) {
      if ((flags & 3) !== 0) return EROFS
      const file = open.get(nodeid) ?? { backing: openBacking(names[nodeid - 2]), opens: 0 }
      open.set(nodeid, file)
      file.opens++
      return { backing: await file.backing }
    },

    async release({ nodeid }) {
      const file = open.get(nodeid)
      if (file === undefined || --file.opens > 0) return
      open.delete(nodeid)
      helper.send({ close: (await file.backing).intoRaw() })
    },
  }

  const session = await mount(mountPoint, filesystem, { allowOther: true, handleSignals: false })
  const helper = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', session.fd],
  })
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)

  const waiting = new Map<string, (answer: Answer) => void>()
  helper.on('message', (answer: Answer) => waiting.get(answer.name)?.(answer))
  async function openBacking(name: string): Promise<BackingId> {
    helper.send({ open: name } satisfies Order)
    const { id, code } = await new Promise<Answer>((done) => waiting.set(name, done))
    if (id === undefined) throw Object.assign(new Error(`no backing id for ${name}`), { code })
    return session.wrapBacking(id)
  }

  console.log(`mounted by root, served by user ${process.getuid?.()}; in another terminal: ls ${mountPoint}`)
  await session.closed
}
