// Data of an open file as a kernel asks for it: READ and WRITE in pieces of what was negotiated, at pages where it is cached.
import {
  FOPEN_DIRECT_IO,
  FUSE_READ_LOCKOWNER,
  FUSE_WRITE_KILL_SUIDGID,
  FUSE_WRITE_LOCKOWNER,
} from '../../index.js'
import { BadReply, Failure } from './failure.js'
import type { Kernel } from './kernel.js'
import type { Node } from './nodes.js'

const PAGE = 4096

/** Names the owner of locks: one for all files of a process. */
export const LOCK_OWNER = 0x6465_7666_7573_65n

/** An open file whose data the filesystem serves. */
export interface Served {
  readonly kernel: Kernel
  readonly node: Node
  readonly fh: number
  /** Flags of open(2), as requests carry them. */
  readonly flags: number
  /** FOPEN_* flags. */
  readonly openFlags: number
  /** `fh` for GETATTR. */
  readonly attributeFh: number | undefined
}

/** Fills `target` from `start` on: the bytes read. */
export async function readPieces(
  { kernel, node, fh, flags, openFlags, attributeFh }: Served,
  target: Uint8Array,
  start: number,
  signal?: AbortSignal,
): Promise<number> {
  const most = kernel.connection.negotiation.maxPages * PAGE
  const direct = (openFlags & FOPEN_DIRECT_IO) !== 0
  let end = start + target.byteLength
  // Kernel: a cached file ends where its size says, whatever a read would bring.
  if (!direct) end = Math.min(end, (await kernel.getattr(node, attributeFh)).size)
  let at = start
  while (at < end) {
    const offset = direct ? at : at - (at % PAGE)
    const size = Math.min(most, direct ? end - at : Math.ceil(end / PAGE) * PAGE - offset)
    const request = { fh, offset, size, flags, readFlags: FUSE_READ_LOCKOWNER, lockOwner: LOCK_OWNER }
    const { data } = await kernel.call('read', node.nodeid, request, signal)
    const piece = (data as Buffer).subarray(at - offset, end - offset)
    target.set(piece, at - start)
    at += piece.byteLength
    if ((data as Buffer).byteLength < size) break
  }
  return at - start
}

/** Writes `data` from `start` on: the bytes written. `kill` takes setuid and setgid away. */
export async function writePieces(
  { kernel, node, fh, flags, openFlags }: Served,
  data: Uint8Array,
  start: number,
  kill: boolean,
  signal?: AbortSignal,
): Promise<number> {
  const { maxPages, maxWrite } = kernel.connection.negotiation
  const writeFlags = FUSE_WRITE_LOCKOWNER | (kill ? FUSE_WRITE_KILL_SUIDGID : 0)
  let done = 0
  while (done < data.byteLength) {
    const offset = start + done
    const size = Math.min(data.byteLength - done, maxWrite, maxPages * PAGE - (offset % PAGE))
    const piece = data.subarray(done, done + size)
    const request = { fh, offset, writeFlags, flags, lockOwner: LOCK_OWNER, data: piece }
    let written: number
    try {
      written = (await kernel.call('write', node.nodeid, request, signal)).value as number
      if (written > size || written < 0)
        throw new BadReply(`write: the answer is ${written} where ${size} bytes were sent`)
    } catch (error) {
      // Kernel: what was written before the failure counts; the next call meets it again.
      if (done > 0 && error instanceof Failure) return done
      throw error
    }
    done += written
    if (written < size) {
      // Kernel: a cached write that comes up short is EIO, unless something was written.
      if (done === 0 && (openFlags & FOPEN_DIRECT_IO) === 0)
        throw new BadReply('write: nothing was written, which only FOPEN_DIRECT_IO files may say')
      break
    }
  }
  return done
}
