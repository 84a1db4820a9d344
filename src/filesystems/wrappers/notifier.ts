// Notifications of an inner filesystem, whose numbers are not those that the kernel knows.
import type { Negotiation, Notifier } from '../../index.js'
import type { AnyFilesystem } from './proxy.js'

/** The number that the kernel knows an inode by, undefined where it does not. */
export type Renumber = (nodeid: number) => number | undefined

/** Calls `init` of a filesystem with a notifier that takes its own numbers. */
export function initWith(
  filesystem: AnyFilesystem,
  negotiation: Negotiation,
  notify: Notifier,
  renumber: Renumber,
): void {
  filesystem.init?.(negotiation, renumbered(notify, renumber))
}

/** What the kernel does not know it need not be told: then the answer is `false`, as that of the session. */
function renumbered(notify: Notifier, renumber: Renumber): Notifier {
  const about = (nodeid: number, tell: (known: number) => Promise<boolean>): Promise<boolean> => {
    const known = renumber(nodeid)
    return known === undefined ? Promise.resolve(false) : tell(known)
  }
  const mapped: Partial<Notifier> = {
    pollWakeup: (kh) => notify.pollWakeup(kh),
    resend: () => notify.resend(),
    incEpoch: () => notify.incEpoch(),
    invalInode: (nodeid, off, len) => about(nodeid, (known) => notify.invalInode(known, off, len)),
    invalEntry: (parent, name) => about(parent, (known) => notify.invalEntry(known, name)),
    expireEntry: (parent, name) => about(parent, (known) => notify.expireEntry(known, name)),
    delete: (parent, child, name) =>
      about(parent, (known) => about(child, (gone) => notify.delete(known, gone, name))),
    store: (nodeid, offset, data) => about(nodeid, (known) => notify.store(known, offset, data)),
    retrieve: async (nodeid, offset, size) => {
      const known = renumber(nodeid)
      return known === undefined ? Buffer.alloc(0) : notify.retrieve(known, offset, size)
    },
    prune: (nodeids) => notify.prune(nodeids.map(renumber).filter((known) => known !== undefined)),
  }
  return mapped as Notifier
}
