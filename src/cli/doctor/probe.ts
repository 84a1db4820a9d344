// Owns the proof that mounting works: mounts a throw-away filesystem, tries one backing file, unmounts.
import { closeSync, mkdtempSync, openSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a real mount showed. */
export interface Probe {
  /** The addon could be loaded; else why not. */
  addon: { ok: true } | { ok: false; said: string }
  /** Absent when the addon is missing. */
  mount?: { ok: true; milliseconds: number } | { ok: false; said: string }
  /** The kernel's protocol, 7.`minor`; known after a mount. */
  minor?: number
  /** INIT flags that the kernel offered. */
  offered?: string[]
  maxWrite?: number
  /** Whether the kernel took a backing file; else why not. */
  passthrough?: { ok: true } | { ok: false; said: string }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Runs the probe. Never throws; leaves nothing behind. */
export async function probe(): Promise<Probe> {
  try {
    const { syscalls } = await import('../../syscalls/index.js')
    syscalls.umask(syscalls.umask(0o22))
  } catch (error) {
    return { addon: { ok: false, said: messageOf(error) } }
  }
  let directory: string
  try {
    directory = mkdtempSync(join(tmpdir(), 'devfuse-doctor-'))
  } catch (error) {
    const said = `there is no folder to mount on: ${messageOf(error)}; set TMPDIR to a folder that can be written`
    return { addon: { ok: true }, mount: { ok: false, said } }
  }
  try {
    return { addon: { ok: true }, ...(await mountProbe(directory)) }
  } finally {
    // rmdir only: should the mount still be there, nothing below it may be deleted.
    try {
      rmdirSync(directory)
    } catch {
      // Still busy, which the result says already.
    }
  }
}

async function mountProbe(directory: string): Promise<Partial<Probe>> {
  const { mount } = await import('../../index.js')
  const start = performance.now()
  try {
    const session = await mount(directory, {}, { fsName: 'devfuse-doctor', onWarning: () => {} })
    const milliseconds = performance.now() - start
    try {
      const { kernelMinor, offered, maxWrite, passthroughUnavailable } = session.negotiation
      return {
        mount: { ok: true, milliseconds },
        minor: kernelMinor,
        offered: [...offered],
        maxWrite,
        passthrough:
          passthroughUnavailable === undefined
            ? tryBacking((fd) => session.openBacking(fd).close())
            : { ok: false, said: passthroughUnavailable },
      }
    } finally {
      await session.unmount()
    }
  } catch (error) {
    return { mount: { ok: false, said: messageOf(error) } }
  }
}

function tryBacking(open: (fd: number) => void): { ok: true } | { ok: false; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'devfuse-doctor-file-'))
  try {
    const path = join(folder, 'backing')
    writeFileSync(path, 'devfuse')
    const fd = openSync(path, 'r+')
    try {
      open(fd)
      return { ok: true }
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return { ok: false, said: messageOf(error) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
