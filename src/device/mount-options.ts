// Mount options as authors write them, and their two halves in the kernel: flags of the mount, and parameters of the
// FUSE superblock. How they are handed over (mount(2), fsconfig(2), fusermount3) is the business of others.

/** Options of the mount itself. The generic ones are those of mount(8). */
export interface MountOptions {
  /** The source shown by `mount` and `df`. Default `devfuse`. */
  fsName?: string
  /** The part behind the dot of the type shown, `fuse.NAME`. */
  subtype?: string
  /** Other users may use the mount, too; for a non-root user it takes user_allow_other in /etc/fuse.conf. */
  allowOther?: boolean
  /** Root and the owner of the mount may use it: `allowOther` for the kernel, the rest by `access: 'rootAndOwner'`. */
  allowRoot?: boolean
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
  /** Reading directories does not update their access times (`nodiratime`). */
  nodiratime?: boolean
  /** Reading updates an access time that is older than the modification, or a day old (`relatime`): the default. */
  relatime?: boolean
  /** Every reading updates access times (`strictatime`). */
  strictatime?: boolean
  /** Times are kept in memory and written late (`lazytime`). */
  lazytime?: boolean
  /** Symbolic links on the mount are not followed (`nosymfollow`, Linux 5.10). */
  nosymfollow?: boolean
  /** All writes are synchronous (`sync`). */
  sync?: boolean
  /** Directory changes are synchronous (`dirsync`). */
  dirsync?: boolean
  /** Largest READ in bytes; the kernel's own limit where absent. */
  maxRead?: number
  /**
   * Mount as type `fuseblk`, with this block device as the source: the kernel holds it exclusively, shows its device
   * number in stat(2), and waits for DESTROY at the unmount. Root only.
   */
  blockDevice?: string
  /** Block size of a `blockDevice` mount in bytes, a power of two from 512. Default 512. Kernel: 6.18 takes the page size. */
  blksize?: number
  /** SELinux context of every file (`context=`). */
  context?: string
  /** Who owns the mount (`user_id=`, `group_id=`): whom the kernel lets in without `allowOther`. Default: this process. */
  owner?: { uid: number; gid: number }
  /**
   * Further options as mount(8) has them behind `-o`, one a string, unescaped: `['nodiratime', 'fscontext=a:b:c,d']`. Those
   * with an option of their own above mean the same; all others go to the kernel as they are, which refuses what it does
   * not know.
   */
  options?: readonly string[]
  /**
   * Make the kernel wait for our answer to INIT inside the mount call (FUSE_DEV_IOC_SYNC_INIT, Linux 6.18): the mount
   * shows only once it works, so nobody can be caught on one that fails. Default false; refused
   * by `openMount`, and where the kernel lacks it or fusermount3 has to mount.
   */
  syncInit?: boolean
  /**
   * Clear a dead mount of ours at the mount point first: one of the same user, type and source, whose server has ended
   * (ENOTCONN). Nobody else's is ever touched. Default false: mounting fails with a message that says so.
   */
  clearStale?: boolean
  /**
   * Unmount even when this process is killed: a small shell in a process group of its own waits for the end of this
   * process, and detaches the mount if it is still this one. Default false.
   */
  autoUnmount?: boolean
}

/** A flag word of mount(8): its bit for mount(2), for the superblock by name, and for the mount made by fsmount(2). */
export interface FlagWord {
  word: string
  /** mount(2), sys/mount.h. */
  ms: number
  /** The name of the superblock's flag for fsconfig(2), where it has one. */
  superblock?: string
  /** MOUNT_ATTR_*, linux/mount.h. */
  attr: number
}

const FLAGS = {
  readOnly: { word: 'ro', ms: 1, superblock: 'ro', attr: 0x1 },
  nosuid: { word: 'nosuid', ms: 2, attr: 0x2 },
  nodev: { word: 'nodev', ms: 4, attr: 0x4 },
  noexec: { word: 'noexec', ms: 8, attr: 0x8 },
  sync: { word: 'sync', ms: 16, superblock: 'sync', attr: 0 },
  dirsync: { word: 'dirsync', ms: 128, superblock: 'dirsync', attr: 0 },
  nosymfollow: { word: 'nosymfollow', ms: 256, attr: 0x200000 },
  noatime: { word: 'noatime', ms: 1024, attr: 0x10 },
  nodiratime: { word: 'nodiratime', ms: 2048, attr: 0x80 },
  relatime: { word: 'relatime', ms: 1 << 21, attr: 0 },
  strictatime: { word: 'strictatime', ms: 1 << 24, attr: 0x20 },
  lazytime: { word: 'lazytime', ms: 1 << 25, superblock: 'lazytime', attr: 0 },
} as const satisfies Record<string, FlagWord>

/** The flags of a mount with these options. */
export function flagWords(options: MountOptions): FlagWord[] {
  const { suid, dev, ...rest } = options
  const set: Record<string, unknown> = { ...rest, nosuid: !suid, nodev: !dev }
  return Object.entries(FLAGS)
    .filter(([name]) => set[name] === true)
    .map(([, flag]) => flag)
}

/** A parameter of the superblock; without a value it is a flag. */
export interface Parameter {
  key: string
  value?: string
}

/** What the superblock is told beside the descriptor, the mode of the root and the owner, which fusermount3 adds itself. */
export function parameters(options: MountOptions): Parameter[] {
  const list: Parameter[] = []
  if (options.allowOther || options.allowRoot) list.push({ key: 'allow_other' })
  if (options.defaultPermissions) list.push({ key: 'default_permissions' })
  if (options.maxRead !== undefined) list.push({ key: 'max_read', value: String(options.maxRead) })
  // Kernel: blksize is for fuseblk only.
  if (options.blockDevice !== undefined) list.push({ key: 'blksize', value: String(options.blksize ?? 512) })
  if (options.context !== undefined) list.push({ key: 'context', value: options.context })
  for (const option of options.options ?? []) list.push(split(option))
  return list
}

/** Kernel: fs/fuse/inode.c, fuse_fs_parameters; rootmode is octal and only its type counts. */
export function connectionParameters(fd: number, mode: number, options: MountOptions): Parameter[] {
  const S_IFMT = 0o170000
  const { uid, gid } = options.owner ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  return [
    { key: 'fd', value: String(fd) },
    { key: 'rootmode', value: (mode & S_IFMT).toString(8) },
    { key: 'user_id', value: String(uid) },
    { key: 'group_id', value: String(gid) },
  ]
}

/** The filesystem type without its subtype. */
export function typeOf({ blockDevice }: MountOptions): string {
  return blockDevice === undefined ? 'fuse' : 'fuseblk'
}

export function sourceOf({ blockDevice, fsName }: MountOptions): string {
  return blockDevice ?? fsName ?? 'devfuse'
}

function split(option: string): Parameter {
  const at = option.indexOf('=')
  return at < 0 ? { key: option } : { key: option.slice(0, at), value: option.slice(at + 1) }
}

const BY_WORD: Record<string, Partial<MountOptions>> = {
  ro: { readOnly: true },
  rw: { readOnly: false },
  suid: { suid: true },
  nosuid: { suid: false },
  dev: { dev: true },
  nodev: { dev: false },
  exec: { noexec: false },
  noexec: { noexec: true },
  atime: { noatime: false },
  noatime: { noatime: true },
  diratime: { nodiratime: false },
  nodiratime: { nodiratime: true },
  relatime: { relatime: true },
  norelatime: { relatime: false },
  strictatime: { strictatime: true },
  nostrictatime: { strictatime: false },
  lazytime: { lazytime: true },
  nolazytime: { lazytime: false },
  symfollow: { nosymfollow: false },
  nosymfollow: { nosymfollow: true },
  sync: { sync: true },
  async: { sync: false },
  dirsync: { dirsync: true },
  allow_other: { allowOther: true },
  allow_root: { allowRoot: true },
  auto_unmount: { autoUnmount: true },
  default_permissions: { defaultPermissions: true },
}

const BY_KEY: Record<string, (value: string) => Partial<MountOptions>> = {
  fsname: (fsName) => ({ fsName }),
  subtype: (subtype) => ({ subtype }),
  max_read: (value) => ({ maxRead: Number(value) }),
  blksize: (value) => ({ blksize: Number(value) }),
  context: (context) => ({ context }),
}

/** Parameters that belong to the connection: given twice they would tear it from its descriptor. */
const OURS = new Set(['fd', 'rootmode', 'user_id', 'group_id', 'source'])

/**
 * Moves what `options` says in words of mount(8) to the options of the same meaning. Throws a TypeError for an entry that
 * no option can be, or that belongs to the library; one that contradicts an option of its own wins over it.
 */
export function foldWords<Options extends MountOptions>(options: Options): Options {
  const folded: Options = { ...options }
  const rest: string[] = []
  for (const option of options.options ?? []) {
    const { key, value } = split(option)
    if (key === '' || /[\0\s]/.test(key) || option.includes('\0')) {
      throw new TypeError(
        `option \`options\` has an entry that is no mount option: ${JSON.stringify(option)}`,
      )
    }
    if (OURS.has(key))
      throw new TypeError(`option \`options\` must not name \`${key}\`, which the library sets itself`)
    if (value === undefined && Object.hasOwn(BY_WORD, key)) Object.assign(folded, BY_WORD[key])
    else if (value !== undefined && Object.hasOwn(BY_KEY, key)) Object.assign(folded, BY_KEY[key](value))
    // A comma in a name would smuggle a second option past every check.
    else if (key.includes(',')) {
      throw new TypeError(`option \`options\` takes one option an entry, not ${JSON.stringify(option)}`)
    } else rest.push(option)
  }
  if (options.options !== undefined) folded.options = rest
  return folded
}
