// Directory listings that reach the session encoded: for a filesystem that makes the records of a reply itself.

import { countsLookup } from './dirent.js'
import { decodeDirents } from './kernel.js'
import type { NameEncoding } from './names.js'
import type { Dirent, Direntplus } from './reply.js'

/** The entries of a listing, by its kind. */
export type DirentOf<Kind extends 'dirent' | 'direntplus'> = Kind extends 'dirent' ? Dirent : Direntplus

/** A filesystem may have got another copy of this library than the session that serves it. */
const BRAND = Symbol.for('devfuse.EncodedDirents')

/** What whoever made an encoded listing is told. */
export interface ListingOwner {
  /** Gives the lookup of an entry back that an iteration did not come to. */
  forget?: (nodeid: number) => void
  /** The bytes have gone out, so that their memory may serve again. Not called where somebody else looks at the entries. */
  sent?: () => void
}

/**
 * The answer of `readdir` or `readdirplus` as the records themselves, such as `encodeDirent` and `encodeDirentplus` write them: at most
 * `size` bytes of them. Sent as it is, and iterable for whoever wants to see or change the entries on their way.
 */
export class EncodedDirents<Kind extends 'dirent' | 'direntplus'> implements Iterable<DirentOf<Kind>> {
  readonly bytes: Uint8Array
  readonly kind: Kind
  readonly [BRAND] = true
  /** Called by the session when `bytes` are needed no more. */
  readonly sent: (() => void) | undefined
  readonly #encoding: NameEncoding
  readonly #forget: ((nodeid: number) => void) | undefined

  /** `encoding` is that of the session: with `latin1` names of entries are strings, else bytes. */
  constructor(bytes: Uint8Array, kind: Kind, encoding: NameEncoding, { forget, sent }: ListingOwner = {}) {
    this.bytes = bytes
    this.kind = kind
    this.#encoding = encoding
    this.#forget = forget
    this.sent = sent
  }

  /** Whether an answer is such a listing. */
  static is(value: object): value is EncodedDirents<'dirent' | 'direntplus'> {
    return BRAND in value
  }

  /** The nodeids that count as looked up, once for each time. */
  get lookups(): number[] {
    if (this.kind === 'dirent') return []
    return this.#decode().flatMap((entry) => (countsLookup(entry) ? [entry.nodeid] : []))
  }

  *[Symbol.iterator](): Generator<DirentOf<Kind>> {
    const entries = this.#decode()
    let next = 0
    try {
      while (next < entries.length) yield this.#named(entries[next++]) as DirentOf<Kind>
    } finally {
      if (this.kind === 'direntplus')
        for (const entry of entries.slice(next)) if (countsLookup(entry)) this.#forget?.(entry.nodeid)
    }
  }

  /** Names have one character per byte. */
  #decode(): (Direntplus & { name: string })[] {
    const { buffer, byteOffset, byteLength } = this.bytes
    const bytes = Buffer.from(buffer, byteOffset, byteLength)
    return decodeDirents(bytes, this.kind === 'direntplus') as unknown as (Direntplus & { name: string })[]
  }

  #named(entry: Direntplus & { name: string }): object {
    const name = this.#encoding === 'latin1' ? entry.name : Buffer.from(entry.name, 'latin1')
    if (entry.nodeid !== 0) return { ...entry, name }
    // All zeros are no attributes.
    const { attr: _, ...rest } = entry
    return { ...rest, name }
  }
}
