// A program of its own that mounts a mirror, lets another process use it, and unmounts, over and over; it prints what the
// process holds after some warm-up and at the end. Run by leaks.test.ts with --expose-gc.
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { mountMirror } from 'devfuse/mirror'

const [source, mountPoint, warmup, rounds] = process.argv.slice(2)

/** What {@link held} counts. */
export interface Held {
  descriptors: string[]
  threads: number
  residentKiB: number
}

async function held(): Promise<Held> {
  // Idle threads of the addon's pool end by themselves.
  await sleep(11_000)
  for (let i = 0; i < 10; i++) {
    globalThis.gc?.()
    await sleep(50)
  }
  const resident = /^VmRSS:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return {
    descriptors: readdirSync('/proc/self/fd'),
    threads: readdirSync('/proc/self/task').length,
    residentKiB: Number(resident?.[1]),
  }
}

async function remount(times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const session = await mountMirror(source, mountPoint, { control: true })
    // The shell changes the directory: spawn() would block this thread in a chdir that only this thread can answer.
    const use =
      'find . -type f -size -2 -exec cat {} + > /dev/null && echo x > scratch && sync scratch && rm scratch'
    await promisify(execFile)('sh', ['-c', `cd "$0" && ${use}`, mountPoint], { timeout: 20_000 })
    await session.unmount()
    await session.closed
  }
}

await remount(Number(warmup))
const before = await held()
await remount(Number(rounds))
console.log(JSON.stringify({ before, after: await held() }))
