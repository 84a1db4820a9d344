// The errno constants of fuse-native: every error of Linux, negative, as properties of the class.
import { EHWPOISON, errnoName, errnoOf } from '../../../index.js'
import type { ErrnoName } from '../../../index.js'

/** `Fuse.ENOENT` and its like. */
export type ErrnoConstants = Readonly<Record<ErrnoName | 'EWOULDBLOCK' | 'EDEADLOCK', number>>

export const errnos: ErrnoConstants = Object.fromEntries(
  Array.from({ length: -EHWPOISON }, (_, index) => errnoName(index + 1))
    .concat('EWOULDBLOCK' as ErrnoName, 'EDEADLOCK' as ErrnoName)
    .flatMap((name) => (name === undefined ? [] : [[name, errnoOf(name)]])),
) as ErrnoConstants
