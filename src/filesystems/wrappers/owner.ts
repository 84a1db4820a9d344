// owner(): everything belongs to one user, whoever made it and whoever asks.
import { EPERM, FATTR_GID, FATTR_MODE, FATTR_UID } from '../../index.js'
import type { Attr, Extensions, Statx } from '../../index.js'
import { checkNames, checkOption, isInteger } from './checks.js'
import { changed, mapEntries, settle, wrap } from './proxy.js'
import type { AnyCall, AnyFilesystem } from './proxy.js'

/** Options of {@link owner}. */
export interface OwnerOptions {
  /** User to whom everything belongs. */
  uid: number
  /** Group to whom everything belongs. */
  gid: number
  /** Permission bits that nothing has: taken away from modes that are shown, and from those that are set. Default 0. */
  umask?: number
}

const MAX_ID = 0xffff_fffe

/**
 * Squashes owners: every file of `inner` is shown as owned by `uid` and `gid`, and `inner` is asked by that user, so that what is
 * made belongs to him as well, and groups of the caller do not count. Changing the owner to that user does nothing, to anybody
 * else is EPERM.
 *
 * ```ts
 * await mount('/mnt', owner(filesystem, { uid: 1000, gid: 1000, umask: 0o077 }), { allowOther: true })
 * ```
 *
 * Throws an OptionError for ids and bits that are none, and for options that are not known.
 */
export function owner<Fs extends AnyFilesystem>(inner: Fs, options: OwnerOptions): Fs {
  checkNames('owner()', options, ['uid', 'gid', 'umask'])
  const { uid, gid, umask: mask = 0 } = options
  for (const [name, value] of Object.entries({ uid, gid }))
    checkOption('owner()', name, value, `an integer from 0 to ${MAX_ID}`, isInteger(0, MAX_ID))
  checkOption('owner()', 'umask', mask, 'permission bits, an integer from 0 to 0o777', isInteger(0, 0o777))
  const shown = <Attributes extends Attr | Statx>(attributes: Attributes): Attributes => ({
    ...attributes,
    uid,
    gid,
    mode: attributes.mode & ~mask,
  })
  const entry = (value: object): object => {
    const { attr, stat } = value as { attr?: Attr; stat?: Statx }
    return attr ? { ...value, attr: shown(attr) } : stat ? { ...value, stat: shown(stat) } : value
  }

  return wrap(inner, (name, request, next) => {
    // FORGET and its kin have no caller.
    if (name === 'forget') return next()
    const asked: Record<string, unknown> = { uid, gid }
    const { extensions } = request as { extensions?: Extensions }
    if (extensions?.groups !== undefined) {
      const { groups: _, ...others } = extensions
      asked.extensions = others
    }
    if (name === 'setattr') {
      const { valid, newUid, newGid, mode } = request as AnyCall &
        Record<'valid' | 'newUid' | 'newGid' | 'mode', number>
      if ((valid & FATTR_UID) !== 0 && newUid !== uid) return EPERM
      if ((valid & FATTR_GID) !== 0 && newGid !== gid) return EPERM
      asked.valid = valid & ~(FATTR_UID | FATTR_GID)
      if ((valid & FATTR_MODE) !== 0) asked.mode = mode & ~mask
    } else if (name === 'create' || name === 'mknod' || name === 'mkdir' || name === 'tmpfile') {
      asked.mode = (request.mode as number) & ~mask
    }
    const answer = next(changed(request, asked))
    if (name === 'readdirplus') return settle(answer, (listing) => mapEntries(listing, entry))
    return settle(answer, (value) => (isPlain(value) ? entry(value) : value))
  })
}

/** An answer with named fields: neither a number, nor data, nor a listing. */
const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && ('attr' in value || 'stat' in value)
