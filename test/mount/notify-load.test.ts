// Every notification ten thousand times, while other processes look names up and read: nothing may hang, and no error may
// be unexplained. DEVFUSE_NOTIFY_ROUNDS sets another number.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, it } from 'node:test'
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem, Notifier } from 'devfuse'
import { cleanup, mounted, sh, skip } from '../support/mounting.js'

const ROUNDS = Number(process.env['DEVFUSE_NOTIFY_ROUNDS'] ?? 10_000)
const FILES = 16
const LONG = 3600
const shared = { blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const content = Buffer.alloc(64 * 1024, 'x')
const attr = (nodeid: number): Attr =>
  nodeid === 1
    ? { ...shared, ino: 1, size: 0, mode: 0o040755 }
    : { ...shared, ino: nodeid, size: content.byteLength, mode: 0o100644 }

const filesystem: Filesystem = {
  lookup({ name }) {
    const nodeid = Number(name) + 2
    if (!(nodeid >= 2 && nodeid < FILES + 2)) return ENOENT
    return { nodeid, entryValid: LONG, attrValid: LONG, attr: attr(nodeid) }
  },
  getattr: ({ nodeid }) => ({ attrValid: LONG, attr: attr(nodeid) }),
  open: () => ({ openFlags: 2 }), // FOPEN_KEEP_CACHE
  read: async ({ offset, size }) => {
    await new Promise((done) => setImmediate(done))
    return content.subarray(offset, offset + size)
  },
  readdir: ({ offset }) =>
    Array.from({ length: FILES }, (_, i) => ({ name: `${i}`, ino: i + 2, type: 8 })).slice(offset),
}

/** One call of each kind, by its round. */
const kinds: Record<string, (notify: Notifier, i: number) => Promise<unknown>> = {
  pollWakeup: (notify, i) => notify.pollWakeup(BigInt(i)),
  invalInode: (notify, i) => notify.invalInode(2 + (i % FILES)),
  invalEntry: (notify, i) => notify.invalEntry(1, `${i % FILES}`),
  expireEntry: (notify, i) => notify.expireEntry(1, `${i % FILES}`),
  delete: (notify, i) => notify.delete(1, 2 + (i % FILES), `${i % FILES}`),
  store: (notify, i) => notify.store(2 + (i % FILES), 0, content.subarray(0, 4096)),
  retrieve: (notify, i) => notify.retrieve(2 + (i % FILES), 0, 4096),
  incEpoch: (notify) => notify.incEpoch(),
  prune: (notify, i) => notify.prune([2 + (i % FILES)]),
  resend: (notify) => notify.resend(),
}

describe('notifications under load', { skip, timeout: 220_000 }, () => {
  it(`are sent ${ROUNDS} times each`, async (t) => {
    const { session, mnt, warnings } = await mounted(t, filesystem)
    // Kernel: nothing is sent again over io_uring.
    const { resend, ...others } = kinds
    const sent = session.stats().transport === 'ring' ? others : { ...others, resend }
    const work = `while :; do for i in $(seq 0 ${FILES - 1}); do cat ${mnt}/$i > /dev/null 2>&1; stat ${mnt}/$i; done; ls -l ${mnt}; done > /dev/null 2>&1`
    const clients = [0, 1].map(() => spawn('sh', ['-c', work], { stdio: 'ignore', detached: true }))
    cleanup(t, () => clients.forEach(({ pid }) => pid !== undefined && process.kill(-pid, 'SIGKILL')))
    const refused = new Map<string, number>()
    const count = (kind: string, error: unknown): void => {
      const key = `${kind}: ${(error as { code?: string }).code ?? String(error)}`
      refused.set(key, (refused.get(key) ?? 0) + 1)
    }
    for (const [kind, send] of Object.entries(sent)) {
      const began = performance.now()
      for (let i = 0; i < ROUNDS; i += 50) {
        const batch = Array.from({ length: Math.min(50, ROUNDS - i) }, (_, j) => send(session.notify, i + j))
        await Promise.all(batch.map((one) => one.catch((error: unknown) => count(kind, error))))
      }
      t.diagnostic(`${kind}: ${ROUNDS} in ${Math.round(performance.now() - began)} ms`)
    }
    for (const [what, times] of refused) t.diagnostic(`${times} times ${what}`)
    // Kernel: a name that is in use as a mount point or busy directory cannot be dropped; there are none here.
    assert.deepEqual([...refused.keys()], [])
    assert.deepEqual(warnings, [])
    assert.equal(await sh(`cat ${mnt}/3 | wc -c`), `${content.byteLength}\n`)
    assert.ok((session.stats().operations['READ']?.count ?? 0) > 0)
  })
})
