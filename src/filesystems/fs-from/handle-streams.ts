// The streams of a file handle: those of node:fs with calls of the view behind them, and the one of the web.
import { createReadStream, createWriteStream } from 'node:fs'
import type { ReadStream, WriteStream } from 'node:fs'
import { ReadableStream } from 'node:stream/web'
import { callbackify } from 'node:util'
import { bytesOfView } from './content.js'

type View = NodeJS.ArrayBufferView
type Done = (error: Error | null, ...values: unknown[]) => void

/** What a stream does with the handle that it keeps open. */
export interface Streamed {
  readonly fd: number
  read(target: Uint8Array, position: number | null): Promise<number>
  write(data: Uint8Array, position: number | null): Promise<number>
  sync(): Promise<void>
  /** Keeps the handle open no longer, and closes it. */
  close(): Promise<void>
  /** Somebody else closes the handle, and waits for the stream. */
  onClose(listener: () => void): void
}

export function readStreamOf(handle: Streamed, options: object): ReadStream {
  const fs = {
    read: (_fd: number, target: View, offset: number, length: number, position: number | null, done: Done) =>
      settle(handle.read(pieceOf(target, offset, length), position), (got) => [got, target], done),
    close: (_fd: number, done: Done) => settle(handle.close(), () => [], done),
  }
  const stream = createReadStream('', { ...options, fd: handle.fd, fs })
  handle.onClose(() => stream.close())
  return stream
}

export function writeStreamOf(handle: Streamed, options: object): WriteStream {
  const fs = {
    write: (_fd: number, data: View, offset: number, length: number, position: number | null, done: Done) =>
      settle(handle.write(pieceOf(data, offset, length), position), (written) => [written, data], done),
    fsync: (_fd: number, done: Done) => settle(handle.sync(), () => [], done),
    close: (_fd: number, done: Done) => settle(handle.close(), () => [], done),
  }
  const stream = createWriteStream('', { ...options, fd: handle.fd, fs })
  handle.onClose(() => stream.close())
  return stream
}

const pieceOf = (view: View, offset: number, length: number): Uint8Array =>
  bytesOfView(view).subarray(offset, offset + length)

/** A call of node:fs with a callback from one with a promise. */
function settle<T>(promise: Promise<T>, values: (result: T) => unknown[], done: Done): void {
  callbackify(async () => values(await promise))((error, found?: unknown[]) => done(error, ...(found ?? [])))
}

/** `read` fills what it is given and says how much, 0 at the end. */
export function webStreamOf(read: (target: Uint8Array) => Promise<number>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: 'bytes',
    pull: async (controller) => {
      const { byobRequest } = controller
      const view = byobRequest?.view
      const target = view ? bytesOfView(view as View) : new Uint8Array(PIECE)
      const got = await read(target)
      if (got === 0) controller.close()
      // A reader that brought its own view waits for this, even at the end.
      if (byobRequest) byobRequest.respond(got)
      else if (got > 0) controller.enqueue(target.subarray(0, got))
    },
  })
}

const PIECE = 16384
