// Whether this process may open backing ids at all: asked once at INIT, so that a wish which cannot come true is
// refused, and a fallback explained, before the first file is opened.
import { readFileSync } from 'node:fs'

const CAP_SYS_ADMIN = 21n
const WHOLE_RANGE = /^\s*0\s+0\s+4294967295\s*$/m

/**
 * Why FUSE_DEV_IOC_BACKING_OPEN would be refused for lack of privilege, undefined where it would not.
 * Kernel: it wants CAP_SYS_ADMIN in the initial user namespace, so root of a container's own namespace is not enough.
 */
export function whyNoBacking(): string | undefined {
  try {
    const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? []
    if (((BigInt(`0x${mask}`) >> CAP_SYS_ADMIN) & 1n) === 0n)
      return 'the process lacks CAP_SYS_ADMIN (run it as root)'
    if (!WHOLE_RANGE.test(readFileSync('/proc/self/uid_map', 'latin1'))) {
      return 'CAP_SYS_ADMIN counts in the initial user namespace only, and this process runs in another one'
    }
  } catch {
    // Without /proc the kernel will say it when asked.
  }
  return undefined
}
