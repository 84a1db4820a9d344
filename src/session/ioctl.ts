// The answer to IOCTL: a result, and the data that goes back into the caller's memory. Part of the last stop of a request.
import type { IoctlReply, OperationInfo } from '../protocol/index.js'

/**
 * Writes what an ioctl handler returned at `at`: its length, or undefined where the value is no answer to an ioctl. Throws a
 * TypeError for more data than the `outSize` bytes that the caller has room for.
 */
export function encodeIoctl(
  info: OperationInfo,
  bytes: Buffer,
  view: DataView,
  at: number,
  value: unknown,
  outSize: number,
): number | undefined {
  const reply: unknown = typeof value === 'number' ? { result: value } : (value ?? {})
  if (typeof reply !== 'object') return undefined
  const { result = 0, data = new Uint8Array() } = reply as IoctlReply
  if (result !== (result | 0) || !(data instanceof Uint8Array)) return undefined
  if (data.byteLength > outSize) {
    throw new TypeError(
      `the handler of ioctl returned ${data.byteLength} bytes of data where the caller has room for ${outSize}`,
    )
  }
  // Kernel: a reply with FUSE_IOCTL_RETRY is taken from a character device (CUSE) only, and is EIO here.
  const length = info.encode(view, at, { result, flags: 0, inIovs: 0, outIovs: 0 })
  bytes.set(data, at + length)
  return length + data.byteLength
}
