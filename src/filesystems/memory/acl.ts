// POSIX access control lists, as the bytes of `system.posix_acl_*`, and how they and the mode bits follow each other.
// Kernel: it checks permissions and the form of a list (FUSE_POSIX_ACL); what lists do to modes and new files is ours.
// Source: acl(5), fs/posix_acl.c.

export const ACL_ACCESS = 'system.posix_acl_access'
export const ACL_DEFAULT = 'system.posix_acl_default'

const HEADER = 4
const ENTRY = 8
const TAG = 0
const PERMISSIONS = 2

const USER_OBJ = 0x01
const GROUP_OBJ = 0x04
const MASK = 0x10
const OTHER = 0x20

const RWX = 7
const USER_SHIFT = 6
const GROUP_SHIFT = 3
const PERMISSION_BITS = 0o777

/** Where the entry with this tag begins; undefined where there is none. Only for tags that occur once. */
function find(acl: Buffer, tag: number): number | undefined {
  for (let at = HEADER; at + ENTRY <= acl.byteLength; at += ENTRY) {
    if (acl.readUInt16LE(at + TAG) === tag) return at
  }
  return undefined
}

function permissions(acl: Buffer, at: number | undefined): number {
  return at === undefined ? 0 : acl.readUInt16LE(at + PERMISSIONS) & RWX
}

/** The group bits of a mode are the mask where there is one. */
const groupClass = (acl: Buffer): number | undefined => find(acl, MASK) ?? find(acl, GROUP_OBJ)

/** The nine permission bits that a list stands for. */
export function modeOf(acl: Buffer): number {
  return (
    (permissions(acl, find(acl, USER_OBJ)) << USER_SHIFT) |
    (permissions(acl, groupClass(acl)) << GROUP_SHIFT) |
    permissions(acl, find(acl, OTHER))
  )
}

/** Whether the mode says all that the list says: owner, group, others, nothing else. */
export function isMinimal(acl: Buffer): boolean {
  return acl.byteLength <= HEADER + 3 * ENTRY
}

/** The list after chmod(2). */
export function withMode(acl: Buffer, mode: number): Buffer {
  const changed = Buffer.from(acl)
  const set = (at: number | undefined, bits: number): void => {
    if (at !== undefined) changed.writeUInt16LE(bits & RWX, at + PERMISSIONS)
  }
  set(find(acl, USER_OBJ), mode >>> USER_SHIFT)
  set(groupClass(acl), mode >>> GROUP_SHIFT)
  set(find(acl, OTHER), mode)
  return changed
}

/** What a new file gets from the default list of its directory and the mode that was asked for. */
export function inherit(acl: Buffer, mode: number): { access: Buffer | undefined; mode: number } {
  const masked = (mode & ~PERMISSION_BITS) | (mode & modeOf(acl))
  return { access: isMinimal(acl) ? undefined : withMode(acl, masked), mode: masked }
}
