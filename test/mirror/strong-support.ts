// Whether `cache: 'strong'` can be tested here.
import { readFileSync, rmSync } from 'node:fs'
import { mirror } from 'devfuse/mirror'
import { skip } from '../support/mounting.js'
import { temporary } from './mounted.js'

const [major = 0, minor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'latin1')
  .split('.')
  .map((part) => parseInt(part, 10))

function why(): string | false {
  if (skip !== false) return skip
  if (major < 6 || (major === 6 && minor < 16)) return 'needs Linux 6.16 (FUSE_NOTIFY_INC_EPOCH)'
  const source = temporary()
  try {
    mirror(source, { cache: 'strong' }).dispose()
    return false
  } catch (error) {
    return (error as Error).message
  } finally {
    rmSync(source, { recursive: true })
  }
}

export const skipStrong = why()
