// What is known of the makes of filesystems that can't be told from their methods' answers.
import type { PathFilesystem } from '../path-filesystem.js'
import { has } from './shape.js'
import type { Thing } from './shape.js'

export type Traits = Pick<PathFilesystem, 'readOnly' | 'stableHandles' | 'checksPermissions'>

export function traitsOf(thing: Thing): Traits {
  const memfs = isMemfs(thing)
  return {
    // Their handles hold the file itself; others hold a path, or nobody knows what.
    stableHandles: memfs,
    checksPermissions: memfs || isUnion(thing),
    ...(thing['readonly'] === true && { readOnly: true }),
  }
}

/** A volume of memfs, or what it has for node:fs. */
export function isMemfs(thing: Thing): boolean {
  return '__vol' in thing || has(thing, 'fromJSON', 'toJSON')
}

/** unionfs: other filesystems, one over the other. */
export function isUnion(thing: Thing): boolean {
  return has(thing, 'use') && Array.isArray(thing['fss'])
}
