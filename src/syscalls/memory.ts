// Memory that the addon or the kernel keeps the address of.
import { markAsUntransferable } from 'node:worker_threads'

/**
 * An ArrayBuffer that stays where it is, whoever gets to see it: a transfer would end or move the memory, and the addon would go on
 * with the address. Transferring copies it (Node 20) or throws.
 */
export function pinnedMemory(size: number): ArrayBuffer {
  const memory = new ArrayBuffer(size)
  markAsUntransferable(memory)
  // Node 22 marks it for messages only.
  for (const name of ['transfer', 'transferToFixedLength']) {
    if (name in memory) Object.defineProperty(memory, name, { value: refuse })
  }
  return memory
}

function refuse(): never {
  throw new TypeError(
    'this memory belongs to devfuse and cannot be transferred: copy the bytes with Buffer.from(bytes)',
  )
}
