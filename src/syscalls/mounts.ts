// Calls on mounts: mount(2) and its family of small steps, fsopen(2) to move_mount(2), and descriptors handed to
// another process, which is how one that may mount serves one that may not.
import { special } from '../native.js'
import { numbers as nr } from './numbers.js'
import { NULL } from './door.js'
import type { Door } from './door.js'

/** What mount_setattr(2) changes; absent fields change nothing. */
export interface MountAttributes {
  /** MOUNT_ATTR_* to set. */
  attrSet?: number
  /** MOUNT_ATTR_* to clear. */
  attrClr?: number
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE. */
  propagation?: number
  /** For MOUNT_ATTR_IDMAP: a descriptor of the user namespace whose id maps count. */
  usernsFd?: number
}

const EAGAIN = -11

export function mountCalls({ call, callAsync }: Door) {
  return {
    /** mount(2); `flags` are MS_* bits. */
    mount: (
      source: string | null,
      target: string,
      type: string | null,
      flags: number,
      data: string | null,
    ): number => call(nr.mount, source ?? NULL, target, type ?? NULL, flags, data ?? NULL),
    /** mount(2) on the pool: the path may lead over a mount that this thread serves. */
    mountAsync: (
      source: string | null,
      target: string,
      type: string | null,
      flags: number,
      data: string | null,
    ): Promise<number> => callAsync(nr.mount, source ?? NULL, target, type ?? NULL, flags, data ?? NULL),
    /** umount2(2); `flags` are MNT_* and UMOUNT_* bits. */
    umount2: (target: string, flags = 0): number => call(nr.umount2, target, flags),
    /** umount2(2) on the pool. */
    umount2Async: (target: string, flags = 0): Promise<number> => callAsync(nr.umount2, target, flags),
    /** umount2(2) in a forked child without descriptors, on the pool: safe for a server's own mount. */
    umountForkedAsync: (target: string, flags = 0): Promise<number> =>
      callAsync(special.umount, target, flags),
    /** fsopen(2): a descriptor of a filesystem that is being configured; `flags` are FSOPEN_* bits. */
    fsopen: (type: string, flags = 0): number => call(nr.fsopen, type, flags),
    /** fsconfig(2); `command` is one of FSCONFIG_*, `key` and `value` are what it wants. */
    fsconfig: (
      fd: number,
      command: number,
      key: string | null = null,
      value: string | null = null,
      aux = 0,
    ): number => call(nr.fsconfig, fd, command, key ?? NULL, value ?? NULL, aux),
    /** fsconfig(2) on the pool: FSCONFIG_CMD_CREATE may wait for a server. */
    fsconfigAsync: (fd: number, command: number): Promise<number> =>
      callAsync(nr.fsconfig, fd, command, NULL, NULL, 0),
    /** fsmount(2): a descriptor of the detached mount; `flags` are FSMOUNT_* bits, `attributes` MOUNT_ATTR_* bits. */
    fsmount: (fd: number, flags: number, attributes: number): number =>
      call(nr.fsmount, fd, flags, attributes),
    /** What the kernel said about a descriptor of fsopen(2) so far, a line each: `e fuse: Bad value for 'fd'`. */
    fsLog(fd: number): string[] {
      const lines: string[] = []
      const bytes = Buffer.alloc(8192)
      for (;;) {
        const length = call(nr.read, fd, bytes, bytes.byteLength)
        if (length <= 0) return lines
        lines.push(bytes.toString('utf8', 0, length).trimEnd())
      }
    },
    /** open_tree(2): a descriptor of a mount, with OPEN_TREE_CLONE of a detached copy. */
    openTree: (dirfd: number, path: string, flags: number): number => call(nr.open_tree, dirfd, path, flags),
    /** move_mount(2). */
    moveMount: (fromFd: number, fromPath: string, toFd: number, toPath: string, flags: number): number =>
      call(nr.move_mount, fromFd, fromPath, toFd, toPath, flags),
    /** move_mount(2) on the pool: the path may lead over a mount that this thread serves. */
    moveMountAsync: (
      fromFd: number,
      fromPath: string,
      toFd: number,
      toPath: string,
      flags: number,
    ): Promise<number> => callAsync(nr.move_mount, fromFd, fromPath, toFd, toPath, flags),
    /** mount_setattr(2); `flags` are AT_* bits. */
    mountSetattr: (dirfd: number, path: string, flags: number, attributes: MountAttributes): number => {
      const { attrSet = 0, attrClr = 0, propagation = 0, usernsFd = 0 } = attributes
      const struct = new BigUint64Array([attrSet, attrClr, propagation, usernsFd].map(BigInt))
      return call(nr.mount_setattr, dirfd, path, flags, struct, struct.byteLength)
    },
    /** mount_setattr(2) that changes the propagation (MS_PRIVATE, MS_SLAVE ...) of a mount. */
    mountSetPropagation: (dirfd: number, path: string, flags: number, propagation: number): number =>
      call(nr.mount_setattr, dirfd, path, flags, new BigUint64Array([0n, 0n, BigInt(propagation), 0n]), 32),
    /**
     * Sends a descriptor over a Unix socket (sendmsg(2), SCM_RIGHTS), with one byte of data. The receiver gets its own:
     * close yours when it is no longer needed.
     */
    sendFd: (socket: number, fd: number): number => call(special.sendFd, socket, fd),
    /**
     * Receives a descriptor over a Unix socket, close-on-exec: the descriptor, -ENOMSG for a message without one, -EPIPE
     * when the other side is gone. Waits in the calling thread unless the socket is non-blocking.
     */
    recvFd: (socket: number): number => call(special.recvFd, socket),
    /** The same without holding up this thread, for blocking and non-blocking sockets. */
    async recvFdAsync(socket: number): Promise<number> {
      for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
        const fd = await callAsync(special.recvFd, socket)
        if (fd !== EAGAIN) return fd
        await new Promise((later) => setTimeout(later, wait))
      }
    },
  }
}
