// What may follow the names of a request that makes an inode: the caller's matching groups and the security contexts of
// the new inode (FUSE_CREATE_SUPP_GROUP, FUSE_SECURITY_CTX).

import { nameEnd } from './names.js'
import { MALFORMED } from './wire.js'

/** Extensions of a request; a kind that was not sent is absent. */
export interface Extensions {
  /** Supplementary groups of the caller that matter here: the group of the parent directory, when the caller has it. */
  groups?: number[]
  /** Extended attributes to set together with the creation, such as `security.selinux`. */
  secctx?: { name: string; value: Buffer }[]
}

const EXT_GROUPS = 32
const MAX_NR_SECCTX = 31
const EXT_HEADER_SIZE = 8
const SECCTX_SIZE = 8

/** Decodes everything between two places. The values are copies: the request outlives its slot. */
export function extensionsAt(
  bytes: Buffer,
  view: DataView,
  start: number,
  end: number,
): Extensions | typeof MALFORMED {
  const extensions: Extensions = {}
  let at = start
  while (at + EXT_HEADER_SIZE <= end) {
    const size = view.getUint32(at, true)
    const type = view.getUint32(at + 4, true)
    if (size < EXT_HEADER_SIZE || size > end - at) return MALFORMED
    const body = at + EXT_HEADER_SIZE
    if (type <= MAX_NR_SECCTX) {
      const contexts = contextsAt(bytes, view, body, at + size, type)
      if (contexts === MALFORMED) return MALFORMED
      extensions.secctx = contexts
    } else if (type === EXT_GROUPS) {
      const groups = groupsAt(view, body, at + size)
      if (groups === MALFORMED) return MALFORMED
      extensions.groups = groups
    }
    at += align(size)
  }
  return extensions
}

function contextsAt(
  bytes: Buffer,
  view: DataView,
  start: number,
  end: number,
  count: number,
): { name: string; value: Buffer }[] | typeof MALFORMED {
  const contexts: { name: string; value: Buffer }[] = []
  let at = start
  for (let index = 0; index < count; index++) {
    if (at + SECCTX_SIZE > end) return MALFORMED
    const size = view.getUint32(at, true)
    const name = at + SECCTX_SIZE
    const nul = nameEnd(bytes, name, end)
    if (nul < 0 || size > end - nul - 1) return MALFORMED
    const value = bytes.subarray(nul + 1, nul + 1 + size)
    contexts.push({ name: bytes.toString('latin1', name, nul), value: Buffer.from(value) })
    at += align(nul + 1 + size - at)
  }
  return contexts
}

function groupsAt(view: DataView, start: number, end: number): number[] | typeof MALFORMED {
  if (start + 4 > end) return MALFORMED
  const count = view.getUint32(start, true)
  if (count > (end - start - 4) / 4) return MALFORMED
  const groups: number[] = []
  for (let index = 0; index < count; index++) groups.push(view.getUint32(start + 4 + 4 * index, true))
  return groups
}

// Kernel: records are padded to 8 bytes counted from their own start, which need not be aligned in the message.
function align(size: number): number {
  return Math.ceil(size / 8) * 8
}
