// union(): several filesystems as one, merged by name. This file puts the parts together and passes on what is about one inode.
import { ENOENT, ESTALE, EXDEV, OptionError } from '../../index.js'
import type { Filesystem, Negotiation, Notifier, SessionOptions } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { checkFilesystem, shown } from './checks.js'
import { initWith } from './notifier.js'
import { handlerInfo, settle } from './proxy.js'
import type { AnyCall, AnyFilesystem } from './proxy.js'
import { readonly } from './readonly.js'
import { unionChanges } from './union-changes.js'
import { Layers } from './union-layers.js'
import type { Found } from './union-layers.js'
import { unionListing } from './union-listing.js'
import { asUnion } from './union-nodes.js'
import { mergedOptions, optionsOf } from './union-options.js'

/** Left out: `readdirplus`, because an entry of a merged directory takes a lookup in every layer. */
const NEVER: ReadonlySet<HandlerName> = new Set(['readdirplus'])
/** Kernel: what falls back when these are missing does so for the whole mount. */
const ALL_OR_NONE: ReadonlySet<HandlerName> = new Set(['statx'])

/** A merged filesystem; give it to `mount()` together with its `mountOptions`. */
export type UnionFilesystem<Name extends string | Buffer = string> = Filesystem<Name> & {
  /** What the layers ask for, in terms that hold for all of them. */
  readonly mountOptions: SessionOptions
}

/**
 * Merges filesystems: a name is that of the first layer which has it, directories show the names of all, each once. What is made
 * goes to the first layer that has the directory and does not answer EROFS; what is changed, to the layer that the file is from.
 * Nothing is copied up, and nothing is hidden by a mark, so what would need either is refused:
 *
 * - changing a file, or making one in a directory, of layers that answer EROFS: EROFS;
 * - removing a name that another layer has as well, because it would show again: EROFS;
 * - renaming or linking from one layer to another: EXDEV, which mv(1) turns into a copy.
 *
 * Inode numbers of lower layers carry the layer in their upper bits. Each filesystem gets `init` and `destroy`.
 *
 * The `mountOptions` are those of the layers together. Names have one `encoding` for all layers that say one, and the others get
 * it, too. What gives rights (`allowOther`, `suid`, `dev`) holds where every layer gives it, what takes some away
 * (`defaultPermissions`, `noexec`) where one does; a layer that is `readOnly` is so within the union. INIT flags are asked
 * for where every layer names them, because they are promises about every file.
 *
 * ```ts
 * const merged = union([mine, readonly(theirs)])
 * await mount('/mnt', merged, merged.mountOptions)
 * ```
 *
 * Throws an OptionError for layers whose options exclude each other: names of different `encoding`, a flag in `want` that another
 * layer does not know.
 */
export function union<Name extends string | Buffer = string>(
  given: readonly Filesystem<Name>[],
): UnionFilesystem<Name> {
  if (!Array.isArray(given))
    throw new OptionError(`union() takes an array of filesystems, not ${shown(given)}`)
  if (given.length === 0) throw new OptionError('union() needs a filesystem at least')
  for (const [layer, filesystem] of given.entries()) checkFilesystem(`layer ${layer} of union()`, filesystem)
  const mountOptions = mergedOptions(given.map(optionsOf))
  const filesystems = (given as readonly AnyFilesystem[]).map((layer) =>
    optionsOf(layer).readOnly ? readonly(layer) : layer,
  )
  const layers = new Layers(filesystems)
  const { table } = layers.nodes

  const passOn = (name: HandlerName) => (request: AnyCall) => {
    const node = table.get(request.nodeid)
    if (node === undefined) return ESTALE
    const [part] = node.parts
    return settle(layers.ask(part, name, request), (answer) =>
      typeof answer === 'object' && answer !== null && ('attr' in answer || 'stat' in answer)
        ? asUnion(answer, part.layer)
        : answer,
    )
  }
  const special: Partial<Record<HandlerName, (request: AnyCall) => unknown>> = {
    ...unionChanges(layers),
    ...unionListing(layers),
    lookup: (request) => {
      const directory = table.get(request.nodeid)
      const name = String(request.name)
      // Kernel: only for NFS it asks for these, by nodeids that it has forgotten.
      if (directory === undefined || name === '.' || name === '..') return ESTALE
      return settle(layers.find(directory, request.name, request, true), (found) => {
        if (!Array.isArray(found)) return found
        return found.length === 0 ? ENOENT : layers.present(found as Found[])
      })
    },
    forget: ({ nodeid, nlookup }) => layers.nodes.forget(nodeid, nlookup as number),
    copyFileRange: (request) => {
      const [from, to] = [
        table.get(request.nodeid)?.parts[0],
        table.get(request.nodeidOut as number)?.parts[0],
      ]
      if (from === undefined || to === undefined) return ESTALE
      return from.layer === to.layer
        ? layers.ask(from, 'copyFileRange', request, { nodeidOut: to.nodeid })
        : EXDEV
    },
  }

  const merged: Record<string, unknown> & Pick<UnionFilesystem, 'mountOptions'> = {
    mountOptions,
    init: (negotiation: Negotiation, notify: Notifier) => {
      for (const [layer, filesystem] of filesystems.entries())
        initWith(filesystem, negotiation, notify, (nodeid) => layers.nodes.known(layer, nodeid))
    },
    destroy: async () => {
      await Promise.all(filesystems.map(async (filesystem) => filesystem.destroy?.()))
    },
  }
  const always: ReadonlySet<HandlerName> = new Set(['lookup', 'forget', 'opendir', 'readdir', 'releasedir'])
  for (const name of handlerInfo.keys()) {
    const having = filesystems.filter((filesystem) => typeof filesystem[name] === 'function').length
    const enough = ALL_OR_NONE.has(name) ? having === filesystems.length : having > 0
    if (!NEVER.has(name) && (enough || always.has(name))) merged[name] = special[name] ?? passOn(name)
  }
  return merged
}
