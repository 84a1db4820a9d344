// ENOSYS where it is sticky: for many operations one such answer turns the operation off for the whole mount, which a
// handler rarely means. Looks at every answer of those operations on its way out.
import { EACCES, ENOSYS, EOPNOTSUPP, FOPEN_CACHE_DIR, FOPEN_KEEP_CACHE } from '../protocol/index.js'
import type { InitFlagName, OpenReply, OperationInfo } from '../protocol/index.js'
import type { BackingDevice } from './backing.js'
import { warning } from './errors.js'

/** Flags by which an author says that ENOSYS is meant, by operation. */
const MEANT: Record<string, InitFlagName> = {
  open: 'FUSE_NO_OPEN_SUPPORT',
  opendir: 'FUSE_NO_OPENDIR_SUPPORT',
}

const ASKED =
  'Because of the access list the file was opened instead, and every further one is asked for; leave the method out, ' +
  "or mount with access: 'all'"

/** Kernel: what it opens without asking, it opens like this. */
const OPENED: Record<string, OpenReply> = {
  open: { openFlags: FOPEN_KEEP_CACHE },
  opendir: { openFlags: FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
}

export class StickyGuard {
  readonly #device: BackingDevice
  readonly #worked = new Set<number>()
  readonly #told = new Set<number>()
  readonly #wanted: ReadonlySet<InitFlagName>
  readonly #guarded: boolean

  /** `wanted`: the INIT flags that were asked for; `guarded`: every open must be asked for, because not everybody may. */
  constructor(device: BackingDevice, wanted: ReadonlySet<InitFlagName>, guarded: boolean) {
    this.#device = device
    this.#wanted = wanted
    this.#guarded = guarded
  }

  /**
   * The answer to send: ENOSYS becomes EOPNOTSUPP where the operation has worked before, and an open file where the kernel would
   * ask for none any more and has to. Reported once for each.
   */
  check({ opcode, name }: OperationInfo, value: unknown): unknown {
    if (value !== ENOSYS) {
      // EACCES may be what the access list says in the method's place.
      if (value !== EACCES || !this.#guarded) this.#worked.add(opcode)
      return value
    }
    const meant = this.#wanted.has(MEANT[name])
    const worked = !meant && this.#worked.has(opcode)
    const opened = this.#guarded && !worked ? OPENED[name] : undefined
    if (opened !== undefined) {
      this.#tell(
        opcode,
        `${name} answered ENOSYS, after which anybody could open without being asked for. ${ASKED}`,
      )
      return opened
    }
    if (!meant) {
      this.#tell(
        opcode,
        `${name} answered ENOSYS, which turns the operation off for the whole mount` +
          (worked ? '; since it has worked before, the caller was told EOPNOTSUPP instead' : '') +
          '. Leave the method out to turn it off; answer EOPNOTSUPP to refuse one file',
      )
    }
    return worked ? EOPNOTSUPP : ENOSYS
  }

  #tell(opcode: number, message: string): void {
    if (this.#told.has(opcode)) return
    this.#told.add(opcode)
    this.#device.report(warning('ERR_DEVFUSE_STICKY', message))
  }
}
