// ENOSYS where it is sticky: for many operations one such answer turns the operation off for the whole mount, which a
// handler rarely means. Looks at every answer of those operations on its way out.
import { ENOSYS, EOPNOTSUPP } from '../protocol/index.js'
import type { InitFlagName, OperationInfo } from '../protocol/index.js'
import type { BackingDevice } from './backing.js'
import { warning } from './errors.js'

/** Flags by which an author says that ENOSYS is meant, by operation. */
const MEANT: Record<string, InitFlagName> = {
  open: 'FUSE_NO_OPEN_SUPPORT',
  opendir: 'FUSE_NO_OPENDIR_SUPPORT',
}

export class StickyGuard {
  readonly #device: BackingDevice
  readonly #worked = new Set<number>()
  readonly #told = new Set<number>()
  readonly #wanted: ReadonlySet<InitFlagName>

  /** `wanted`: the INIT flags that were asked for. */
  constructor(device: BackingDevice, wanted: ReadonlySet<InitFlagName>) {
    this.#device = device
    this.#wanted = wanted
  }

  /** The answer to send: ENOSYS becomes EOPNOTSUPP where the operation has worked before. Reported once for each. */
  check({ opcode, name }: OperationInfo, value: unknown): unknown {
    if (value === ENOSYS && this.#wanted.has(MEANT[name])) return value
    if (value !== ENOSYS) {
      this.#worked.add(opcode)
      return value
    }
    const worked = this.#worked.has(opcode)
    if (!this.#told.has(opcode)) {
      this.#told.add(opcode)
      this.#device.report(
        warning(
          'ERR_DEVFUSE_STICKY',
          `${name} answered ENOSYS, which turns the operation off for the whole mount` +
            (worked ? '; since it has worked before, the caller was told EOPNOTSUPP instead' : '') +
            '. Leave the method out to turn it off; answer EOPNOTSUPP to refuse one file',
        ),
      )
    }
    return worked ? EOPNOTSUPP : ENOSYS
  }
}
