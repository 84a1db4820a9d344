// The answer to IOCTL: a result and the data that goes back into the caller's memory, or the pieces of it that are needed
// first. Part of the last stop of a request.
import {
  FUSE_IOCTL_MAX_IOV,
  FUSE_IOCTL_RETRY,
  FUSE_IOCTL_UNRESTRICTED,
  offsets,
  sizes,
} from '../protocol/index.js'
import type { IoctlReply, IoctlRequest, OperationInfo } from '../protocol/index.js'

const IOVEC = offsets.fuse_ioctl_iovec

/**
 * Writes what an ioctl handler returned at `at`: its length, or undefined where the value is no answer to an ioctl. Throws a
 * TypeError for more data than the `outSize` bytes that the caller has room for, and for a retry that the kernel would not take.
 */
export function encodeIoctl(
  info: OperationInfo,
  bytes: Buffer,
  view: DataView,
  at: number,
  value: unknown,
  request: IoctlRequest,
): number | undefined {
  const reply: unknown = typeof value === 'number' ? { result: value } : (value ?? {})
  if (typeof reply !== 'object') return undefined
  const { result = 0, data = new Uint8Array(), retry } = reply as IoctlReply
  if (retry !== undefined) return encodeRetry(info, view, at, retry, request)
  if (result !== (result | 0) || !(data instanceof Uint8Array)) return undefined
  if (data.byteLength > request.outSize) {
    throw new TypeError(
      `the handler of ioctl returned ${data.byteLength} bytes of data where the caller has room for ${request.outSize}`,
    )
  }
  const length = info.encode(view, at, { result, flags: 0, inIovs: 0, outIovs: 0 })
  bytes.set(data, at + length)
  return length + data.byteLength
}

// Kernel: elsewhere a reply with FUSE_IOCTL_RETRY is EIO for the caller.
function encodeRetry(
  info: OperationInfo,
  view: DataView,
  at: number,
  retry: NonNullable<IoctlReply['retry']>,
  { flags }: IoctlRequest,
): number {
  if ((flags & FUSE_IOCTL_UNRESTRICTED) === 0) {
    throw new TypeError(
      'the handler of ioctl asked for a retry, which only an unrestricted ioctl of a character device has (CUSE)',
    )
  }
  const pieces = [...(retry.in ?? []), ...(retry.out ?? [])]
  if (pieces.length > FUSE_IOCTL_MAX_IOV) {
    throw new TypeError(
      `the handler of ioctl asked for ${pieces.length} pieces; ${FUSE_IOCTL_MAX_IOV} are the most`,
    )
  }
  const inIovs = retry.in?.length ?? 0
  const outIovs = pieces.length - inIovs
  let end = at + info.encode(view, at, { result: 0, flags: FUSE_IOCTL_RETRY, inIovs, outIovs })
  for (const { base, len } of pieces) {
    view.setBigUint64(end + IOVEC.base, BigInt(base), true)
    view.setBigUint64(end + IOVEC.len, BigInt(len), true)
    end += sizes.fuse_ioctl_iovec
  }
  return end - at
}
