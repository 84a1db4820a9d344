// A thread of umask.test.ts: makes files with a umask of its own.
import { parentPort, workerData } from 'node:worker_threads'
import { AT_FDCWD, O_CLOEXEC, O_CREAT, O_EXCL, O_WRONLY, syscalls } from 'devfuse/syscalls'

export interface Orders {
  prefix: string
  umask: number
  count: number
}

export function makeFiles({ prefix, umask, count }: Orders): void {
  const who = { uid: 0, gid: 0, umask, groups: null }
  for (let i = 0; i < count; i++) {
    const fd = syscalls.openatAs(who, AT_FDCWD, prefix + i, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
    if (fd < 0) throw new Error(`openat ${prefix}${i}: ${fd}`)
    syscalls.close(fd)
  }
}

parentPort?.once('message', () => {
  makeFiles(workerData as Orders)
  parentPort?.close()
})
parentPort?.postMessage('ready')
