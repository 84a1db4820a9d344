// Directory listings: READDIRPLUS or READDIR until nothing more comes.
import { EIO, ENOTDIR } from '../../index.js'
import { O_DIRECTORY, O_RDONLY, S_IFDIR } from '../../syscalls/index.js'
import { BadReply, Failure } from './failure.js'
import { MAY_READ } from './identity.js'
import type { Kernel } from './kernel.js'
import type { Node } from './nodes.js'
import { openKnown } from './open.js'
import { lookup, requireAccess } from './walk.js'

/** A name in a directory: its bytes one per character, and the DT_* type (0 where the filesystem does not say). */
export interface Listed {
  name: string
  type: number
}

// What getdents64(2) of libuv and glibc asks for.
const SIZE = 32768
const NAME_MAX = 1024

interface WireDirent {
  name: string
  type: number
  off: number
  nodeid?: number
}

/** The names in a directory without `.` and `..`, in the order of the filesystem. */
export async function* list(kernel: Kernel, node: Node): AsyncGenerator<Listed> {
  if (node.type !== S_IFDIR) throw new Failure(ENOTDIR)
  await requireAccess(kernel, node, MAY_READ)
  const file = await openKnown(kernel, node, O_RDONLY | O_DIRECTORY)
  try {
    const asked = new Set<number>()
    let before = ''
    for (let offset = 0; ;) {
      const entries = await page(kernel, node, file.fh, offset)
      // A kernel would go round for ever.
      const names = entries.map(({ name }) => name).join('/')
      if (asked.has(offset) || (names !== '' && names === before))
        throw new BadReply(`the listing from offset ${offset} is what came before: it must go on after it`)
      before = names
      asked.add(offset)
      const final = entries.at(-1)
      if (final === undefined) return
      offset = final.off
      for (const { name, type } of entries) if (name !== '.' && name !== '..') yield { name, type }
    }
  } finally {
    await file.release()
  }
}

async function page(kernel: Kernel, node: Node, fh: number, offset: number): Promise<WireDirent[]> {
  // Kernel: with READDIRPLUS_AUTO it asks for attributes at the beginning only, unless they were used.
  const plus =
    kernel.agreed('FUSE_DO_READDIRPLUS') && (offset === 0 || !kernel.agreed('FUSE_READDIRPLUS_AUTO'))
  const reply = await kernel.call(plus ? 'readdirplus' : 'readdir', node.nodeid, { fh, offset, size: SIZE })
  const entries = reply.entries as WireDirent[]
  for (const { nodeid = 0, name } of entries)
    if (nodeid !== 0 && name !== '.' && name !== '..') kernel.giveBack(nodeid)
  for (const { name } of entries) {
    if (name === '' || name.length > NAME_MAX || name.includes('/'))
      throw new Failure(EIO, `the listing holds the name ${JSON.stringify(name)}`)
  }
  return entries
}

/** The file type (S_IFMT) of an entry: as listed, or by LOOKUP where the listing does not say. */
export async function typeOf(kernel: Kernel, directory: Node, { name, type }: Listed): Promise<number> {
  if (type !== 0) return type << 12
  return kernel.scoped(async (scope) => (await lookup(kernel, scope, directory, name))?.type ?? 0)
}
