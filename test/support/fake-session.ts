// A session on the fake kernel, past INIT: what the session tests send requests to.
import type { Attr, Filesystem, SessionOptions } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { resolveOptions } from '#dist/session/options.js'
import { Session } from '#dist/session/session.js'

/** Attributes of some regular file. */
export const attr: Attr = {
  ino: 7,
  size: 3,
  blocks: 1,
  atime: 1,
  mtime: 2,
  ctime: 3,
  mode: 0o100644,
  nlink: 1,
  uid: 0,
  gid: 0,
}

/** What a kernel of protocol 7.45 offers in INIT: everything. */
export const OFFER = { major: 7, minor: 45, maxReadahead: 131072, flags: 0xffff_ffff, flags2: 0x7ff }

export interface Bed {
  kernel: FakeKernel
  session: Session
  /** What the session reported. */
  warnings: string[]
}

/** Serves a filesystem on a fake kernel of its own; rejects as mount() would. */
export async function serve(
  filesystem: Filesystem,
  options: SessionOptions = {},
  kernel = new FakeKernel(),
): Promise<Bed> {
  const warnings: string[] = []
  const resolved = resolveOptions({
    handleSignals: false,
    onWarning: (one) => warnings.push(one.message),
    ...options,
  })
  const session = new Session(kernel, filesystem, resolved, undefined)
  const started = session.start()
  await kernel.request('init', OFFER)
  await started
  return { kernel, session, warnings }
}
