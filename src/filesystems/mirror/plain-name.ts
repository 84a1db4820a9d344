// Which names of requests may reach the source.
import { EINVAL } from '../../protocol/index.js'

/** Names that are one component and go down: the kernel sends no others, except `.` and `..` to reconnect a file handle. */
export function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/')
}

/** What a request with another name is answered. */
export const BAD_NAME = EINVAL
