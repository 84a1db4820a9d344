// The server dies by SIGKILL under load: nobody hangs, the mount can be cleared, and the same point can be mounted again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { attempt, missing, run } from './command.js'
import { devfuse, minorOf, place, unfit } from './mounted.js'
import { makeTree } from './tree.js'

const skip = missing('fio', 'find') || unfit()

for (const passthrough of ['auto', 'off']) {
  test(
    `SIGKILL in the middle of a fio run, passthrough ${passthrough}`,
    { skip, timeout: 120_000 },
    async (t) => {
      const here = place(t, 'killed')
      makeTree(here.src, { directories: 20, filesEach: 50 })
      const server = await here.mirror({ args: [`--passthrough=${passthrough}`] })
      const { mnt } = server

      // Kernel: reads and writes of a file that is open in passthrough mode need no server and go on; its fsync does.
      const fio = [
        'fio',
        '--name=k',
        `--directory=${mnt}`,
        '--size=4M',
        '--numjobs=2',
        '--time_based',
        '--runtime=60',
        '--fsync=16',
      ]
      const forever = (script: string) => ['sh', '-c', `while ${script}; do :; done`]
      const clients = [
        [...fio, '--rw=randrw', '--bs=4k', '--ioengine=psync', '--thread'],
        forever(`find ${mnt} -type f -newer ${mnt} > /dev/null 2>&1 && stat -f ${mnt} > /dev/null 2>&1`),
        forever(`cat ${mnt}/d1/dir-1/file-*.txt > /dev/null 2>&1`),
        forever(`echo more 2> /dev/null >> ${mnt}/d1/dir-1/file-7.txt`),
      ]
      const begin = performance.now()
      const runs = clients.map(async (client) => {
        const { status } = await attempt(client, { cwd: here.directory, timeout: 60_000 })
        return { client: client.join(' '), status, end: performance.now() }
      })
      await sleep(2000)
      const killed = performance.now()
      server.kill('SIGKILL')

      for (const { client, status, end } of await Promise.all(runs)) {
        assert.ok(
          end > killed,
          `${client} ended by itself, ${Math.round(end - begin)} ms after its start, status ${status}`,
        )
        assert.ok(end - killed < 5000, `${client} returned ${Math.round(end - killed)} ms after the kill`)
      }
      assert.notEqual((await attempt(['stat', `${mnt}/d1`], { timeout: 5000 })).status, 0)

      await run([...devfuse, 'unmount', mnt], { timeout: 15_000 })
      assert.equal(minorOf(mnt), undefined)
      const again = await here.mirror()
      await run(['find', again.mnt, '-type', 'f'], { timeout: 20_000 })
      await again.stop()
    },
  )
}
