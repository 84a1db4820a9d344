// The vocabulary of the protocol table: what a row may say. The generator (scripts/generate) and the
// kernel-side codec (kernel.ts) read rows in these terms; nothing on the path of a request does.

/** How a value lies on the wire (little endian, natural alignment). */
export type WireType = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'i64' | 'char'

/**
 * What a 64-bit field means in JavaScript. `number`: unsigned, at most 2^53-1. `signed`: signed, within
 * +-(2^53-1), whatever its C type says. `opaque`: full range, a bigint behind a getter. `unique`: a request id
 * whose bit 63 marks a resent request. `lockEnd`: like `number`, with the kernel's OFFSET_MAX as Infinity. `position`: like
 * `signed`, and what lies further below zero is -(2^53-1): one is as much before the beginning of a file as the other.
 * `seconds`: like `signed`, clamped at both ends, as every filesystem clamps times to those it can keep.
 */
export type Meaning = 'number' | 'signed' | 'opaque' | 'unique' | 'lockEnd' | 'position' | 'seconds'

/** One member of a C struct. */
export interface Field {
  /** Name in the C header. */
  readonly c: string
  readonly type: WireType
  /** Name in JavaScript; null for padding and reserved members. */
  readonly js: string | null
  readonly doc: string
  readonly meaning: Meaning
  /** Array length (hidden members only). */
  readonly count: number
  /** Minor protocol version that gave the member this name. */
  readonly since: number
  /** Name of the flag set the value is made of. */
  readonly flags?: string
  /** In replies: the author may leave it out; this is written instead. */
  readonly fallback?: number
  /** In replies: a bigint is welcome too. */
  readonly big?: boolean
  /** In replies: C name of the member that takes the nanoseconds of a fractional number of seconds. */
  readonly nsec?: string
  readonly struct?: Struct
}

/** One C struct. */
export interface Struct {
  /** Name in the C header, without `struct`. */
  readonly name: string
  /** Minor protocol version from which the struct has this size. */
  readonly since: number
  readonly fields: readonly Field[]
  readonly doc: string
  /** Name of the JavaScript type, where one is generated. */
  readonly type: string
  /** Size on a connection where the newer half is missing, and what tells the longer form. */
  readonly short?: { readonly size: number; readonly longWhen: 'setxattrExt' | 'length' }
}

/** A struct whose members have their places. */
export interface Layout {
  readonly size: number
  readonly align: number
  readonly members: readonly { readonly field: Field; readonly offset: number; readonly size: number }[]
}

/** What a handler of the operation returns, and how it travels. */
export type ReplyKind =
  | 'none'
  | 'empty'
  | 'struct'
  | 'create'
  | 'number'
  | 'data'
  | 'string'
  | 'xattr'
  | 'dirents'
  | 'direntplus'
  | 'ioctl'
  | 'session'

/** A boolean derived from a flag: `(this.field & flag) !== 0`. */
export interface FlagGetter {
  readonly name: string
  readonly field: string
  readonly flag: string
  readonly doc: string
}

/** One opcode. */
export interface Operation {
  readonly opcode: number
  /** lowerCamelCase of the kernel's name. */
  readonly name: string
  readonly since: number
  /** The fixed struct behind the header. */
  readonly in?: Struct
  /** NUL-terminated strings behind the struct, in wire order. */
  readonly names?: readonly { readonly js: string; readonly doc: string }[]
  /** Bytes at the end whose length a member of the struct tells. */
  readonly payload?: { readonly js: string; readonly size: string; readonly doc: string }
  /** Structs at the end whose number a member of the struct tells. */
  readonly items?: { readonly struct: Struct; readonly count: string; readonly doc: string }
  /** Security contexts and groups may follow (`total_extlen`). */
  readonly extensions?: true
  /** Fields of the request class that this opcode does not carry. */
  readonly implied?: readonly { readonly js: string; readonly value: number; readonly doc: string }[]
  readonly getters?: readonly FlagGetter[]
  /** Row whose request class and handler this opcode shares. */
  readonly sameRequest?: string
  /** Handler name when it is not the operation's own; null when the session answers by itself. */
  readonly handler?: string | null
  /** Type of the handler's argument when it is not the request class. */
  readonly argument?: string
  readonly reply: ReplyKind
  /** Reply struct. */
  readonly out?: Struct
  /** The entry may be negative (nodeid 0). */
  readonly negative?: true
  /** What is answered when the filesystem has no such method; 0 is success. */
  readonly absent: string | 0
  /** What is answered when a number of the request is beyond 2^53-1; EOVERFLOW where absent. */
  readonly overflow?: 'EFBIG'
  /** ENOSYS switches the operation off for the rest of the mount. */
  readonly sticky?: true
  /** When the kernel sends it. */
  readonly sent: string
  /** What a handler returns. */
  readonly answer: string
  /** What the kernel makes of ENOSYS. */
  readonly enosys?: string
  /** Manual pages to read. */
  readonly see: string
}

/** One message of the server's own accord. */
export interface Notification {
  readonly code: number
  readonly name: string
  readonly since: number
  readonly out?: Struct
  /** Member that carries the byte length of the name that follows. */
  readonly nameLength?: string
  /** Bytes that follow; their length is a member of the struct. */
  readonly payload?: { readonly js: string; readonly size: string }
  /** u64 values that follow; their number is a member of the struct. */
  readonly list?: { readonly js: string; readonly count: string }
  readonly doc: string
}

export interface Flag {
  readonly name: string
  readonly bit: number
  readonly since: number
  readonly doc: string
}

export interface FlagSet {
  readonly name: string
  readonly doc: string
  readonly flags: readonly Flag[]
}

export interface Constant {
  readonly name: string
  readonly value: number
  readonly since: number
  readonly doc: string
}

type Options = Partial<Omit<Field, 'c' | 'type' | 'doc'>>

function field(type: WireType, c: string, doc: string, options: Options = {}): Field {
  return {
    c,
    type,
    doc,
    js: camelCase(c),
    meaning: type === 'i64' ? 'signed' : 'number',
    count: 1,
    since: 0,
    ...options,
  }
}

export const u16 = (c: string, doc: string, options?: Options): Field => field('u16', c, doc, options)
export const u32 = (c: string, doc: string, options?: Options): Field => field('u32', c, doc, options)
export const i32 = (c: string, doc: string, options?: Options): Field => field('i32', c, doc, options)
export const u64 = (c: string, doc: string, options?: Options): Field => field('u64', c, doc, options)
export const i64 = (c: string, doc: string, options?: Options): Field => field('i64', c, doc, options)

/** A member nobody reads: padding, reserved, unused, or known from elsewhere. */
export function hidden(type: WireType, c: string, count = 1): Field {
  return field(type, c, '', { js: null, count })
}

/** A struct inside a struct. */
export function nested(c: string, inner: Struct, doc: string, options: Options = {}): Field {
  return field('u64', c, doc, { struct: inner, ...options })
}

export function struct(
  name: string,
  since: number,
  doc: string,
  fields: readonly Field[],
  options: Pick<Partial<Struct>, 'short' | 'type'> = {},
): Struct {
  const type = pascalCase(camelCase(name.replace(/^fuse_/, '').replace(/_out$/, '_reply')))
  return { name, since, doc, fields, type, ...options }
}

/** `lock_owner` -> `lockOwner`. */
export function camelCase(c: string): string {
  return c.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `copyFileRange64` -> `COPY_FILE_RANGE_64`. */
export function upperCase(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/([a-z])(64)$/g, '$1_$2')
    .toUpperCase()
}

/** `copyFileRange64` -> `CopyFileRange64`. */
export function pascalCase(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

const widths = { u8: 1, char: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const

const layouts = new WeakMap<Struct, Layout>()

/** Places the members as the C compiler does. */
export function layoutOf(of: Struct): Layout {
  const known = layouts.get(of)
  if (known !== undefined) return known
  const layout = computeLayout(of)
  layouts.set(of, layout)
  return layout
}

function computeLayout(of: Struct): Layout {
  let offset = 0
  let align = 1
  const members = of.fields.map((member) => {
    const inner = member.struct ? layoutOf(member.struct) : undefined
    const width = inner?.size ?? widths[member.type]
    const alignment = inner?.align ?? width
    const place = roundUp(offset, alignment)
    const size = width * member.count
    offset = place + size
    align = Math.max(align, alignment)
    return { field: member, offset: place, size }
  })
  return { size: roundUp(offset, align), align, members }
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
