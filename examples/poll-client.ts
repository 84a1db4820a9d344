// The client of poll.ts: waits for its files with poll(2) and prints what each round found there. Arguments: MNT and the
// number of rounds.
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { syscalls } from 'devfuse/syscalls'

const POLLIN = 1
const mountPoint = process.argv[2] ?? '/mnt'
const rounds = Number(process.argv[3] ?? 16)

const names = '0123456789ABCDEF'.split('')
const files = names.map((name) => ({ fd: openSync(join(mountPoint, name), 'r'), events: POLLIN }))
const bytes = Buffer.alloc(4096)

for (let round = 0; round < rounds; round++) {
  const found = await syscalls.ppollAsync(files, -1)
  if (typeof found === 'number') throw new Error(`poll failed: ${found}`)
  const got = names.map((_, i) =>
    (found[i] & POLLIN) === 0 ? 0 : readSync(files[i].fd, bytes, 0, bytes.length, null),
  )
  console.log(got.map((count, i) => `${names[i]}:${count}`).join(' '))
}
for (const { fd } of files) closeSync(fd)
