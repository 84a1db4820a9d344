// Rows of the numbers that INIT settles besides the flags.
import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { BackingId } from 'devfuse'
import { readMountInfo } from '#dist/device/mountinfo.js'
import { cleanup, mountFusectl, sh, temporary } from '../support/mounting.js'
import { provoke, recording } from './rows.js'
import type { Check } from './rows.js'

const MiB = 1 << 20

/** A file of the connection below /sys/fs/fuse/connections. */
function connectionFile(mnt: string, name: string): number {
  mountFusectl()
  const minor = readMountInfo().find(({ mountPoint }) => mountPoint === mnt)?.minor
  return Number(readFileSync(`/sys/fs/fuse/connections/${minor}/${name}`, 'latin1'))
}

export const limitRows: Record<string, Check> = {
  max_write: {
    call: 'write(2) of 1 MiB',
    shows: 'no WRITE is larger; 4096 bytes are the least',
    prove: async (t) => {
      for (const maxWrite of [4096, 65536, MiB]) {
        const { mnt, memory, session } = await recording(t, { maxWrite })
        await provoke('write', `${mnt}/new`, 1, MiB)
        assert.equal(Math.max(...memory.seen('write').map(({ size }) => size)), maxWrite)
        assert.equal(session.negotiation.maxWrite, maxWrite)
      }
    },
  },
  max_pages: {
    call: 'write(2) of 2 MiB',
    shows: 'what fs.fuse.max_pages_limit allows, and no more',
    prove: async (t) => {
      const limit = Number(readFileSync('/proc/sys/fs/fuse/max_pages_limit', 'latin1'))
      const { mnt, memory, session } = await recording(t, { maxWrite: 16 * MiB })
      assert.equal(session.negotiation.maxPages, Math.min(limit, 4096))
      await provoke('write', `${mnt}/new`, 1, 2 * MiB)
      const largest = Math.max(...memory.seen('write').map(({ size }) => size))
      assert.equal(largest, Math.min(2 * MiB, limit * 4096))
    },
  },
  max_readahead: {
    call: 'read(2)',
    shows: 'no READ is larger than the window',
    prove: async (t) => {
      const { mnt, memory } = await recording(t, { maxReadahead: 16384 })
      memory.put('big', Buffer.alloc(MiB, 'x'))
      await sh(`dd if=${mnt}/big of=/dev/null bs=4096 2> /dev/null`)
      assert.ok(memory.seen('read').every(({ size }) => size <= 16384))
    },
  },
  max_background: {
    call: 'read(2) with read-ahead',
    shows: 'so many READs at once at the most; shown by fusectl',
    prove: async (t) => {
      let running = 0
      let most = 0
      const { mnt } = await recording(t, { maxBackground: 2 }, (memory) => {
        memory.put('big', Buffer.alloc(4 * MiB, 'x'))
        return {
          ...memory.filesystem(),
          read: async ({ size }) => {
            most = Math.max(most, ++running)
            await delay(20)
            running--
            return Buffer.alloc(size)
          },
        }
      })
      await sh(`cat ${mnt}/big | wc -c`)
      assert.ok(most <= 2, `${most}`)
      assert.equal(connectionFile(mnt, 'max_background'), 2)
    },
  },
  congestion_threshold: {
    call: 'open(2) of the file of fusectl',
    shows: 'the number given; three quarters of max_background without',
    prove: async (t) => {
      const given = await recording(t, { maxBackground: 40, congestionThreshold: 7 })
      assert.equal(connectionFile(given.mnt, 'congestion_threshold'), 7)
      const derived = await recording(t, { maxBackground: 40 })
      assert.equal(connectionFile(derived.mnt, 'congestion_threshold'), 30)
    },
  },
  time_gran: {
    call: 'utimensat(2)',
    shows: 'times come rounded down to the granularity',
    prove: async (t) => {
      for (const [timeGran, seen] of [
        [1, 123456789],
        [1000, 123456000],
        [1_000_000_000, 0],
      ] as const) {
        const { mnt, memory } = await recording(t, { timeGran })
        await provoke('utimens', `${mnt}/file`, 1000, 123456789)
        assert.equal(memory.last('setattr').mtimensec, seen)
      }
    },
  },
  max_stack_depth: {
    call: 'FUSE_DEV_IOC_BACKING_OPEN of a file on overlayfs',
    shows: 'allowed with 2, ELOOP with 1',
    prove: async (t) => {
      const folder = temporary(t)
      await sh(`cd ${folder}; mkdir tmpfs; mount -t tmpfs none tmpfs; cd tmpfs; mkdir lower upper work merged; echo x > lower/f
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged`)
      cleanup(t, () => sh(`umount -l ${folder}/tmpfs/merged; umount -l ${folder}/tmpfs`))
      const fd = openSync(`${folder}/tmpfs/merged/f`, 'r')
      cleanup(t, () => closeSync(fd))
      const deep = await recording(t, { maxStackDepth: 2 })
      deep.session.openBacking(fd).close()
      const flat = await recording(t, { maxStackDepth: 1 })
      assert.throws(() => BackingId.createRaw(flat.session.fd, fd), { code: 'ELOOP' })
    },
  },
}
