// Mounts a filesystem in memory that has no birth times and gives a deleted file's number away at once, though the kernel may still
// know that file, as a process of its own: MOUNTPOINT. Says `ready`, and unmounts at the end of standard input.
import { ENOENT, mount } from 'devfuse'
import type { Attr, Errno, Filesystem, LookupRequest } from 'devfuse'
import { memoryFilesystem } from 'devfuse/memory'

const { statx: _statx, readdirplus: _readdirplus, ...inner } = memoryFilesystem()
const numbers = new Map<number | bigint, number>()

function numberOf(ino: number | bigint): number {
  const known = numbers.get(ino)
  if (known !== undefined) return known
  const taken = new Set(numbers.values())
  let free = 10
  while (taken.has(free)) free++
  numbers.set(ino, free)
  return free
}

function renumbered<Answer extends { attr?: Attr }>(answer: Answer | Errno): Answer | Errno {
  if (typeof answer !== 'object' || answer.attr === undefined || answer.attr.ino === 1) return answer
  const { attr } = answer
  if (attr.nlink === 0) return ENOENT
  return { ...answer, attr: { ...attr, ino: numberOf(attr.ino) } }
}

const served: Filesystem = {
  ...inner,
  lookup: async (request) => renumbered(await inner.lookup!(request)),
  create: async (request) => renumbered(await inner.create!(request)),
  getattr: async (request) => renumbered(await inner.getattr!(request)),
  setattr: async (request) => renumbered(await inner.setattr!(request)),
  async rename(request) {
    const { newdir: nodeid, newname: name } = request
    const asked = Object.assign(Object.create(request) as LookupRequest, { nodeid, name })
    const replaced = await inner.lookup!(asked)
    if (typeof replaced === 'object' && replaced.attr !== undefined) numbers.delete(replaced.attr.ino)
    return inner.rename!(request)
  },
}

const session = await mount(process.argv[2] ?? '', served, inner.mountOptions)
console.log('ready')
for await (const _ of process.stdin);
await session.unmount({ lazy: true })
