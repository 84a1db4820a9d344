// System call numbers by kernel name, for the two architectures that the addon is built for.

/** `[x64, arm64]`; calls added since Linux 5.1 have the same number everywhere. */
const table = {
  openat: [257, 56],
  openat2: [437, 437],
  close: [3, 57],
  socketpair: [53, 199],
  dup: [32, 23],
  write: [1, 64],
  statx: [332, 291],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  symlinkat: [266, 36],
  linkat: [265, 37],
  renameat2: [316, 276],
  unlinkat: [263, 35],
  readlinkat: [267, 78],
  getdents64: [217, 61],
  faccessat2: [439, 439],
  getxattr: [191, 8],
  lgetxattr: [192, 9],
  fgetxattr: [193, 10],
  setxattr: [188, 5],
  lsetxattr: [189, 6],
  fsetxattr: [190, 7],
  listxattr: [194, 11],
  llistxattr: [195, 12],
  flistxattr: [196, 13],
  removexattr: [197, 14],
  lremovexattr: [198, 15],
  fremovexattr: [199, 16],
  fallocate: [285, 47],
  copy_file_range: [326, 285],
  lseek: [8, 62],
  statfs: [137, 43],
  fstatfs: [138, 44],
  utimensat: [280, 88],
  fchownat: [260, 54],
  fchmodat: [268, 53],
  fchmod: [91, 52],
  ftruncate: [77, 46],
  truncate: [76, 45],
  fsync: [74, 82],
  fdatasync: [75, 83],
  syncfs: [306, 267],
  pread64: [17, 67],
  pwrite64: [18, 68],
  flock: [73, 32],
  fcntl: [72, 25],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  ioctl: [16, 29],
  memfd_create: [319, 279],
  prlimit64: [302, 261],
  umask: [95, 166],
  mount: [165, 40],
  umount2: [166, 39],
  open_tree: [428, 428],
  move_mount: [429, 429],
  mount_setattr: [442, 442],
  unshare: [272, 97],
  setns: [308, 268],
} as const

/** Kernel names of the system calls that this library knows. */
export type SyscallName = keyof typeof table

const column = process.arch === 'arm64' ? 1 : 0

/** System call numbers of this machine's architecture, by kernel name. */
export const numbers = Object.fromEntries(
  Object.entries(table).map(([name, row]) => [name, row[column]]),
) as Record<SyscallName, number>
