// What a worker of workers.test.ts does: loads the addon, starts a channel and blocking calls, then ends as told.
import { parentPort, workerData } from 'node:worker_threads'
import { NR, messagePair, native } from './calls.js'

export interface Orders {
  /** The read end of a pipe that stays empty. */
  silent: number
  blocking: number
  end: 'return' | 'exit' | 'terminate'
}

const { silent, blocking, end } = workerData as Orders

const [ours, theirs] = messagePair()
const channel = new native.Channel(
  ours,
  new ArrayBuffer(64),
  32,
  2,
  (count) => {
    for (const slot of channel.slots.subarray(0, count)) channel.release(slot)
    channel.send(Buffer.from('again'), 0, 5)
    if (end === 'return') channel.close()
  },
  () => {},
)
// The far end is a channel too, so that both descriptors have an owner.
const peer = new native.Channel(
  theirs,
  new ArrayBuffer(64),
  32,
  2,
  (count) => {
    for (const slot of peer.slots.subarray(0, count)) peer.release(slot)
    peer.send(Buffer.from('again'), 0, 5)
  },
  () => peer.close(),
)
channel.start()
peer.start()
for (let i = 0; i < blocking; i++) {
  void native.syscallAsyncUtf8(NR.read, silent, new Uint8Array(8), 8)
}
const pid = blocking < 16 ? await native.syscallAsyncUtf8(NR.getpid) : native.syscallUtf8(NR.getpid)
if (pid !== process.pid) throw new Error('no pid')
peer.send(Buffer.from('first'), 0, 5)
await new Promise((resolve) => setImmediate(resolve))
parentPort?.postMessage('ready')
if (end === 'exit') process.exit()
