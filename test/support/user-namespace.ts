// A user namespace for idmapped mounts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { cleanup } from './mounting.js'

/** A descriptor of a user namespace in which id `first` outside is 0. */
export async function userNamespace(t: TestContext, first: number, count: number): Promise<number> {
  const child = spawn('unshare', ['-U', 'sh', '-c', 'echo in; exec sleep 30'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  cleanup(t, () => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${child.pid}/${map}`, `0 ${first} ${count}`)
  const fd = openSync(`/proc/${child.pid}/ns/user`, 'r')
  cleanup(t, () => closeSync(fd))
  return fd
}
