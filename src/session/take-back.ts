// What an answer gives out and nobody receives: handles, lookups, locks, opens. The session releases, forgets and unlocks them in the
// kernel's place.
import { EncodedDirents } from '../protocol/index.js'
import type { AnyRequest, OperationInfo, SetlkRequest } from '../protocol/index.js'
import type { BackingDevice } from './backing.js'
import { warning } from './errors.js'
import type { Filesystem } from './filesystem.js'
import type { Passthrough } from './passthrough.js'
import { promiseOf } from './patience.js'

const OPEN = 14
const OPENDIR = 27
const SETLK = 32
const SETLKW = 33
const F_UNLCK = 2

export class TakeBack {
  readonly #filesystem: Filesystem
  readonly #passthrough: Passthrough
  readonly #device: BackingDevice

  constructor(filesystem: Filesystem, passthrough: Passthrough, device: BackingDevice) {
    this.#filesystem = filesystem
    this.#passthrough = passthrough
    this.#device = device
  }

  /** Kernel: ENOENT says that the caller is gone, so nobody will ever release or forget what the reply gave out. */
  undo(request: AnyRequest, info: OperationInfo, value: unknown): void {
    if (info.opcode === OPEN || info.reply === 'create') {
      const { nodeid = request.nodeid, fh = 0 } = value as { nodeid?: number; fh?: number }
      this.#passthrough.release(nodeid, fh)
    }
    this.takeBack(request, info, value)
  }

  /** Releases the handle or lock and forgets the lookup that an answer gave out and that never reached the kernel. */
  takeBack(request: AnyRequest, info: OperationInfo, value: unknown): void {
    if (typeof value === 'number' && value < 0) return
    if (info.opcode === SETLK || info.opcode === SETLKW) this.#unlock(request as SetlkRequest)
    if (typeof value !== 'object' || value === null) return
    try {
      this.#takeBack(request, info, value)
    } catch (error) {
      this.#report(error)
    }
  }

  #takeBack(request: AnyRequest, info: OperationInfo, value: object): void {
    if (EncodedDirents.is(value)) for (const nodeid of value.lookups) this.forget(nodeid)
    // An author's own object may have such fields as well where the answer gives out none.
    const { nodeid, fh } = value as { nodeid?: number; fh?: number }
    if (info.opens && typeof fh === 'number') {
      const release = info.opcode === OPENDIR ? this.#filesystem.releasedir : this.#filesystem.release
      const gone = Object.assign(Object.create(request) as object, {
        nodeid: info.lookup ? nodeid : request.nodeid,
        fh,
        flags: 0,
        releaseFlags: 0,
        lockOwner: 0n,
      })
      this.#quietly(() => release?.call(this.#filesystem, gone as never))
    }
    if (info.lookup && typeof nodeid === 'number' && nodeid !== 0) this.forget(nodeid)
  }

  #unlock(request: SetlkRequest): void {
    const lk = { ...request.lk, type: F_UNLCK }
    const gone = Object.assign(Object.create(request) as object, { lk })
    if (request.lk.type !== F_UNLCK) this.#quietly(() => this.#filesystem.setlk?.(gone as never))
  }

  /** Gives one lookup back. */
  forget(nodeid: number): void {
    this.#quietly(() => this.#filesystem.forget?.({ nodeid, nlookup: 1 }))
  }

  /** There is nobody to answer, so a failure can only be reported. */
  #quietly(step: () => unknown): void {
    try {
      promiseOf(step())?.catch((error: unknown) => this.#report(error))
    } catch (error) {
      this.#report(error)
    }
  }

  #report(error: unknown): void {
    this.#device.report(
      warning('ERR_DEVFUSE_HANDLER', 'taking back an answer that reached nobody failed', error),
    )
  }
}
