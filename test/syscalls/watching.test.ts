// fanotify(7) and the reader of descriptors, without any mount of ours.
import { strict as assert } from 'node:assert'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as sys from 'devfuse/syscalls'
import { ByteReader, syscalls } from 'devfuse/syscalls'

const NO_GROUP = 'fanotify is not to be had here'

function group(): number {
  return syscalls.fanotifyInit(
    sys.FAN_CLOEXEC | sys.FAN_NONBLOCK | sys.FAN_REPORT_FID | sys.FAN_REPORT_DIR_FID | sys.FAN_REPORT_NAME,
  )
}

test('ByteReader hands on what is there, stops, goes on, and says when it has ended', async () => {
  const pair = new Int32Array(2)
  assert.equal(syscalls.socketpair(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_CLOEXEC, 0, pair), 0)
  const [ours, theirs] = pair
  syscalls.fcntl(ours, sys.F_SETFL, sys.O_NONBLOCK)
  const got: string[] = []
  const ended = new Promise<number>((resolve) => {
    const reader = new ByteReader(
      ours,
      4,
      (bytes) => {
        got.push(bytes.toString('latin1'))
        if (got.length === 2) {
          reader.stop()
          setTimeout(() => reader.start(), 20)
        }
      },
      (errno) => {
        assert.equal(reader.fd, ours)
        reader.close()
        assert.equal(reader.fd, -1)
        resolve(errno)
      },
    )
    reader.start()
  })
  await syscalls.writeAsync(theirs, Buffer.from('abcdefghij'))
  await sleep(50)
  syscalls.close(theirs)
  assert.equal(await ended, 0)
  assert.deepEqual(got, ['abcd', 'efgh', 'ij'])
})

test('an event names the directory and the entry', (context) => {
  const fd = group()
  if (fd < 0) return context.skip(`${NO_GROUP} (${fd})`)
  const dir = mkdtempSync(join(tmpdir(), 'devfuse-watch-'))
  try {
    const marked = syscalls.fanotifyMark(fd, sys.FAN_MARK_ADD, sys.FAN_CREATE, sys.AT_FDCWD, dir)
    if (marked < 0) return context.skip(`the filesystem of ${dir} has no marks (${marked})`)
    const bytes = Buffer.alloc(4096)
    const EAGAIN = -11
    assert.equal(syscalls.read(fd, bytes), EAGAIN)
    writeFileSync(join(dir, 'new'), '')
    const length = syscalls.read(fd, bytes)
    assert.equal(bytes.readUInt32LE(0), length)
    assert.equal(bytes.readUInt32LE(8), sys.FAN_CREATE)
    const info = bytes.readUInt16LE(6)
    assert.equal(bytes[info], sys.FAN_EVENT_INFO_TYPE_DFID_NAME)
    const { fsid } = syscalls.statfs(dir) as { fsid: [number, number] }
    assert.deepEqual([bytes.readUInt32LE(info + 4), bytes.readUInt32LE(info + 8)], fsid)
    assert.ok(bytes.subarray(info, length).includes('new\0'))
  } finally {
    syscalls.close(fd)
    rmSync(dir, { recursive: true })
  }
})
