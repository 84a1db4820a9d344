// Who acts, and what the kernel lets him do: the rules of default_permissions, and those that hold on every mount.
import { S_IFMT, S_IFDIR, S_IFREG } from '../../syscalls/index.js'
import { EACCES, EPERM } from '../../index.js'
import type { Attr } from '../../index.js'
import { Failure } from './failure.js'

/** The caller that requests name. */
export interface Identity {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
  readonly pid: number
  readonly umask: number
}

export const MAY_EXEC = 1
export const MAY_WRITE = 2
export const MAY_READ = 4

export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
const S_ISVTX = 0o1000
const S_IXGRP = 0o010
const S_IXUGO = 0o111

/** Root has the capabilities that override modes and ownership. */
export const isRoot = ({ uid }: Identity): boolean => uid === 0

export const isMember = ({ gid, groups }: Identity, group: number): boolean =>
  gid === group || groups.includes(group)

export const owns = (identity: Identity, attr: Attr): boolean => isRoot(identity) || identity.uid === attr.uid

/** generic_permission of the kernel: may the caller do what `mask` says? */
export function may(identity: Identity, attr: Attr, mask: number): boolean {
  const { mode } = attr
  if (isRoot(identity)) {
    // Kernel: CAP_DAC_OVERRIDE makes no program of a file that is none for anybody.
    return (mask & MAY_EXEC) === 0 || (mode & S_IFMT) === S_IFDIR || (mode & S_IXUGO) !== 0
  }
  const shift = identity.uid === attr.uid ? 6 : isMember(identity, attr.gid) ? 3 : 0
  return ((mode >> shift) & mask) === mask
}

/** Kernel: in a sticky directory only the owner of the file, the directory, or root removes and renames. */
export function checkSticky(identity: Identity, directory: Attr, attr: Attr): void {
  if ((directory.mode & S_ISVTX) === 0 || owns(identity, attr) || owns(identity, directory)) return
  throw new Failure(EPERM)
}

/** Kernel: without default_permissions only this is checked of a program. */
export function checkExecutable(attr: Attr, mask: number): void {
  if ((mask & MAY_EXEC) !== 0 && (attr.mode & S_IFMT) === S_IFREG && (attr.mode & S_IXUGO) === 0)
    throw new Failure(EACCES)
}

/** What is left of a mode when somebody without CAP_FSETID changes the data or the owner. */
export function withoutSetid(mode: number): number {
  const kept = mode & ~S_ISUID
  return (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP) ? kept & ~S_ISGID : kept
}
