// Mount options as authors write them, and as mount(2) takes them: flags of the call and FUSE's own data string.

/** Options of the mount itself. The generic ones are those of mount(8). */
export interface MountOptions {
  /** The source shown by `mount` and `df`. Default `devfuse`. */
  fsName?: string
  /** The part behind the dot of the type shown, `fuse.NAME`. */
  subtype?: string
  /** Other users may use the mount, too; for a non-root user it takes user_allow_other in /etc/fuse.conf. */
  allowOther?: boolean
  /** The kernel checks access by mode, uid and gid of the attributes, before a request is sent. */
  defaultPermissions?: boolean
  /** Mount read-only (`ro`). */
  readOnly?: boolean
  /** Set-user-id and set-group-id bits work (`suid`). Default false; root only. */
  suid?: boolean
  /** Device files work (`dev`). Default false; root only. */
  dev?: boolean
  /** Programs cannot be run from the mount (`noexec`). */
  noexec?: boolean
  /** Reading does not update access times (`noatime`). */
  noatime?: boolean
  /** All writes are synchronous (`sync`). */
  sync?: boolean
  /** Directory changes are synchronous (`dirsync`). */
  dirsync?: boolean
  /** Largest READ in bytes; the kernel's own limit where absent. */
  maxRead?: number
}

/** mount(2) flags, sys/mount.h. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  DIRSYNC: 128,
  NOATIME: 1024,
} as const

/** The flags argument of mount(2). */
export function mountFlags(options: MountOptions): number {
  let flags = 0
  if (options.readOnly) flags |= MS.RDONLY
  if (!options.suid) flags |= MS.NOSUID
  if (!options.dev) flags |= MS.NODEV
  if (options.noexec) flags |= MS.NOEXEC
  if (options.noatime) flags |= MS.NOATIME
  if (options.sync) flags |= MS.SYNCHRONOUS
  if (options.dirsync) flags |= MS.DIRSYNC
  return flags
}

/** The data argument of mount(2). Kernel: fs/fuse/inode.c, fuse_fs_parameters; rootmode is octal. */
export function mountData(fd: number, mode: number, options: MountOptions): string {
  const S_IFMT = 0o170000
  const words = [
    `fd=${fd}`,
    `rootmode=${(mode & S_IFMT).toString(8)}`,
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
  ]
  if (options.allowOther) words.push('allow_other')
  if (options.defaultPermissions) words.push('default_permissions')
  if (options.maxRead !== undefined) words.push(`max_read=${options.maxRead}`)
  return words.join(',')
}
