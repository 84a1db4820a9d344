// Extended attributes: GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR.
import { E2BIG, EOPNOTSUPP, ERANGE } from '../../index.js'
import { BadReply, Failure } from './failure.js'
import type { Kernel } from './kernel.js'
import type { Node } from './nodes.js'
import { requireWritable } from './walk.js'

// Kernel: XATTR_NAME_MAX, XATTR_SIZE_MAX.
const NAME_MAX = 255
const SIZE_MAX = 65536

/** getxattr(2). */
export async function getxattr(kernel: Kernel, node: Node, name: string): Promise<Buffer> {
  requireName(name)
  const reply = await kernel.attempt('getxattr', node.nodeid, { name, size: SIZE_MAX })
  if (reply === undefined) throw new Failure(EOPNOTSUPP)
  return reply.data as Buffer
}

/** setxattr(2); `flags` are XATTR_CREATE and XATTR_REPLACE. */
export async function setxattr(
  kernel: Kernel,
  node: Node,
  name: string,
  value: Uint8Array,
  flags: number,
): Promise<void> {
  requireName(name)
  requireWritable(kernel)
  if (value.byteLength > SIZE_MAX) throw new Failure(E2BIG)
  const reply = await kernel.attempt('setxattr', node.nodeid, { name, value, flags })
  if (reply === undefined) throw new Failure(EOPNOTSUPP)
}

/** listxattr(2). */
export async function listxattr(kernel: Kernel, node: Node): Promise<string[]> {
  const reply = await kernel.attempt('listxattr', node.nodeid, { size: SIZE_MAX })
  if (reply === undefined) throw new Failure(EOPNOTSUPP)
  const all = (reply.data as Buffer).toString()
  if (all === '') return []
  // Kernel: verify_xattr_list.
  const names = all.split('\0')
  if (names.pop() !== '' || names.some((name) => name === '' || Buffer.byteLength(name) > NAME_MAX))
    throw new BadReply('listxattr: every name must be 1 to 255 bytes long and end in NUL')
  return names
}

/** removexattr(2). */
export async function removexattr(kernel: Kernel, node: Node, name: string): Promise<void> {
  requireName(name)
  requireWritable(kernel)
  const reply = await kernel.attempt('removexattr', node.nodeid, { name })
  if (reply === undefined) throw new Failure(EOPNOTSUPP)
}

function requireName(name: string): void {
  const length = Buffer.byteLength(name)
  if (length === 0 || length > NAME_MAX) throw new Failure(ERANGE)
}
