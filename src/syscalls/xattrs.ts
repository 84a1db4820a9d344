// Extended attributes, by path, by path without following, and by descriptor.
import { numbers as nr } from './numbers.js'
import { NULL } from './door.js'
import type { Door } from './door.js'

const length = (bytes: Uint8Array | null): number => (bytes ? bytes.byteLength : 0)

export function xattrCalls({ call }: Door) {
  return {
    /** getxattr(2) into `value`: its size; with null, the size that it needs. */
    getxattr: (path: string, name: string, value: Uint8Array | null): number =>
      call(nr.getxattr, path, name, value ?? NULL, length(value)),
    /** lgetxattr(2). */
    lgetxattr: (path: string, name: string, value: Uint8Array | null): number =>
      call(nr.lgetxattr, path, name, value ?? NULL, length(value)),
    /** fgetxattr(2). */
    fgetxattr: (fd: number, name: string, value: Uint8Array | null): number =>
      call(nr.fgetxattr, fd, name, value ?? NULL, length(value)),
    /** setxattr(2); `flags` is 0, XATTR_CREATE or XATTR_REPLACE. */
    setxattr: (path: string, name: string, value: Uint8Array, flags = 0): number =>
      call(nr.setxattr, path, name, value, value.byteLength, flags),
    /** lsetxattr(2). */
    lsetxattr: (path: string, name: string, value: Uint8Array, flags = 0): number =>
      call(nr.lsetxattr, path, name, value, value.byteLength, flags),
    /** fsetxattr(2). */
    fsetxattr: (fd: number, name: string, value: Uint8Array, flags = 0): number =>
      call(nr.fsetxattr, fd, name, value, value.byteLength, flags),
    /** listxattr(2) into `list` (names, each ended by a NUL): its size; with null, the size that it needs. */
    listxattr: (path: string, list: Uint8Array | null): number =>
      call(nr.listxattr, path, list ?? NULL, length(list)),
    /** llistxattr(2). */
    llistxattr: (path: string, list: Uint8Array | null): number =>
      call(nr.llistxattr, path, list ?? NULL, length(list)),
    /** flistxattr(2). */
    flistxattr: (fd: number, list: Uint8Array | null): number =>
      call(nr.flistxattr, fd, list ?? NULL, length(list)),
    /** removexattr(2). */
    removexattr: (path: string, name: string): number => call(nr.removexattr, path, name),
    /** lremovexattr(2). */
    lremovexattr: (path: string, name: string): number => call(nr.lremovexattr, path, name),
    /** fremovexattr(2). */
    fremovexattr: (fd: number, name: string): number => call(nr.fremovexattr, fd, name),
  }
}
