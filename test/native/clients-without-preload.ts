// Imported by a process that LD_PRELOAD brings the sanitizers into: further Node.js processes get them, shells and tools do not,
// which would start ten times as slowly.
import { ChildProcess } from 'node:child_process'

interface Spawned {
  file: string
  envPairs?: string[]
}
const prototype = ChildProcess.prototype as unknown as Record<'spawn', (options: Spawned) => unknown>
const spawn = prototype.spawn
prototype.spawn = function (options) {
  if (options.file !== process.execPath) {
    options.envPairs = options.envPairs?.filter((pair) => !pair.startsWith('LD_PRELOAD='))
  }
  return spawn.call(this, options)
}
