// INIT flags as one set: the protocol splits 64 bits over `flags` and `flags2`; here a set is one number, exact because
// the highest flag lies far below 2^53.

import type { InitFlag, InitFlagName } from './generated/constants.js'
import { FUSE_INIT_EXT, initFlags } from './generated/constants.js'
import { TWO_32 } from './wire.js'

/** Some INIT flags, as a sum. */
export type InitFlagSet = number

/** Makes a set from both halves; the upper one counts with FUSE_INIT_EXT only, and unknown bits above 2^52 are dropped. */
export function joinInitFlags(flags: number, flags2: number): InitFlagSet {
  return (flags >>> 0) + ((flags & FUSE_INIT_EXT) !== 0 ? (flags2 & 0x1fffff) * TWO_32 : 0)
}

/** Splits a set into the halves of the INIT reply; sets FUSE_INIT_EXT when the upper one is not empty. */
export function splitInitFlags(set: InitFlagSet): { flags: number; flags2: number } {
  const flags2 = Math.floor(set / TWO_32)
  const flags = set % TWO_32
  return { flags: flags2 === 0 ? flags : (flags | FUSE_INIT_EXT) >>> 0, flags2 }
}

/** Whether a set has a flag. */
export function hasInitFlag(set: InitFlagSet, flag: InitFlag): boolean {
  return Math.floor(set / flag) % 2 === 1
}

/** The set with a flag more. */
export function addInitFlag(set: InitFlagSet, flag: InitFlag): InitFlagSet {
  return hasInitFlag(set, flag) ? set : set + flag
}

/** The set without a flag. */
export function removeInitFlag(set: InitFlagSet, flag: InitFlag): InitFlagSet {
  return hasInitFlag(set, flag) ? set - flag : set
}

/** Names of the flags in a set, from bit 0 up. */
export function initFlagNames(set: InitFlagSet): InitFlagName[] {
  return initFlags.filter(({ value }) => hasInitFlag(set, value)).map(({ name }) => name)
}
