// The compiler is the test: replies and options that are wrong must not compile, those that are right must.
import { ENOENT, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

declare const attr: Attr
declare const session: Awaited<ReturnType<typeof mount>>

export const right: Filesystem = {
  lookup: ({ name }) => (name === 'a' ? { nodeid: 2, attr } : ENOENT),
  getattr: async () => Promise.resolve({ attr, attrValid: 1 }),
  read: ({ size }) => Buffer.alloc(size),
  write: ({ data }) => data.byteLength,
  readdir: () => [{ name: 'a', ino: 2, type: 8 }],
  mkdir: () => Promise.resolve(ENOENT),
  forget: () => undefined,
  open: () => ({ fh: 1, passthrough: 3 }),
}

export const wrong: Record<string, Filesystem> = {
  // @ts-expect-error: a number without a meaning
  errno: { getattr: () => 5 },
  // @ts-expect-error: errno as a positive number
  positive: { lookup: () => 2 },
  // @ts-expect-error: an errno that Linux does not have
  unknown: { lookup: () => -100_000 },
  // @ts-expect-error: the attributes themselves, not the reply around them
  bare: { getattr: () => attr },
  // @ts-expect-error: attributes of another type
  typed: { getattr: () => ({ attr: { ...attr, mode: '0644' } }) },
  // @ts-expect-error: attributes without a size
  partial: { getattr: () => ({ attr: { ino: 1, mode: 0o100644 } }) },
  // @ts-expect-error: an entry without its attributes
  entry: { lookup: () => ({ nodeid: 2 }) },
  // @ts-expect-error: text where bytes belong
  text: { read: () => 'text' },
  // @ts-expect-error: a number where bytes belong
  count: { read: () => 5 },
  // @ts-expect-error: a promise of the wrong thing
  later: { read: () => Promise.resolve('text') },
  // @ts-expect-error: bytes where their count belongs
  written: { write: ({ data }) => data },
  // @ts-expect-error: names alone
  listing: { readdir: () => ['a', 'b'] },
  // @ts-expect-error: Buffers where names are strings
  names: { listxattr: () => [Buffer.from('user.a')] },
  // @ts-expect-error: a BigInt handle
  handle: { open: () => ({ fh: 1n }) },
  // @ts-expect-error: a FileHandle where its descriptor belongs
  passthrough: { open: () => ({ fh: 1, passthrough: { fd: 3 } }) },
  // @ts-expect-error: a method that does not exist
  misspelt: { readDir: () => [] },
  // @ts-expect-error: a field that the request does not have
  field: { lookup: ({ path }) => (path === '/' ? ENOENT : ENOENT) },
  // @ts-expect-error: an answer to what takes none
  answered: { statfs: () => ({ files: 'many' }) },
}

export async function calls(): Promise<void> {
  await mount('/mnt', right, { encoding: 'utf8' })
  await mount('/mnt', new URL('file:///fs.js'), { data: 1 })
  await mount(new URL('file:///fs.js'), '/mnt', { worker: false })
  const texts: Filesystem = { lookup: ({ name }) => (name === '' ? ENOENT : ENOENT) }
  const bytes: Filesystem<Buffer> = { listxattr: () => [Buffer.from('user.a')] }
  await mount('/mnt', bytes, { encoding: 'buffer' })
  // @ts-expect-error: names are Buffers with this encoding
  await mount('/mnt', texts, { encoding: 'buffer' })
  // @ts-expect-error: no such choice
  await mount('/mnt', right, { passthrough: 'maybe' })
  // @ts-expect-error: a path where a URL belongs
  await mount('/mnt', './fs.js')
  // @ts-expect-error: notifications take numbers
  await session.notify.invalInode('1')
}
