// fio through a mirror: what is written is what is read, by every way into a file; and with passthrough no data reaches us.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'
import { requests } from './stats.js'

const skip = missing('fio') || unfit()

const jobs = {
  buffered: ['--rw=randwrite', '--ioengine=psync', '--bs=4k'],
  mixed: ['--rw=randrw', '--ioengine=psync', '--bs=16k'],
  direct: ['--rw=randwrite', '--ioengine=libaio', '--bs=4k', '--direct=1', '--iodepth=8'],
  mmap: ['--rw=randwrite', '--ioengine=mmap', '--bs=4k'],
  sequential: ['--rw=write', '--ioengine=psync', '--bs=1M'],
}

for (const passthrough of ['auto', 'off']) {
  for (const [name, job] of Object.entries(jobs)) {
    test(
      `fio --verify=crc32c, ${name}, passthrough ${passthrough}`,
      { skip, timeout: 300_000 },
      async (t) => {
        const here = place(t, 'fio')
        const { mnt } = await here.mirror({ args: [`--passthrough=${passthrough}`] })
        const verify = ['--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--verify_state_save=0']
        const files = [`--directory=${mnt}`, '--size=32M', '--numjobs=2', '--group_reporting']
        const { stdout } = await run(
          ['fio', '--name=v', ...files, ...job, ...verify, '--output-format=json'],
          {
            cwd: here.directory,
            timeout: 240_000,
          },
        )
        const report: { jobs: { error: number; read: { total_ios: number } }[] } = JSON.parse(
          stdout.slice(stdout.indexOf('{')),
        )
        assert.equal(report.jobs[0].error, 0)
        assert.ok(report.jobs[0].read.total_ios > 0, 'it was read back')
      },
    )
  }
}

test(
  'with passthrough, 256 MiB written and read make no READ and no WRITE request',
  { skip, timeout: 300_000 },
  async (t) => {
    const here = place(t, 'passthrough')
    const mounted = await here.mirror({ args: ['--passthrough=on'] })
    const base = [
      'fio',
      '--name=p',
      `--filename=${mounted.mnt}/data`,
      '--size=256M',
      '--ioengine=psync',
      '--bs=128k',
    ]
    await run([...base, '--rw=write', '--end_fsync=1'], { cwd: here.directory, timeout: 120_000 })
    await run([...base, '--rw=read'], { cwd: here.directory })
    await run([...base, '--rw=randread', '--bs=4k'], { cwd: here.directory, timeout: 120_000 })
    const counted = requests(await mounted.stats())
    assert.equal(counted('READ'), 0)
    assert.equal(counted('WRITE'), 0)
    assert.ok(counted('OPEN') + counted('CREATE') >= 3, 'the opens were counted')
  },
)
