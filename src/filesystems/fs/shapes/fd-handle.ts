// Handles of objects that name open files by a number, as node:fs does.
import type { HandleLike } from '../path-filesystem.js'
import type { Method } from './shape.js'
import type { Find } from './node-shape.js'

interface Numbered {
  readonly fd: number
}

/** What an open file can do, by the object's name for it. */
const CALLS: { [Key in keyof HandleLike]?: [name: string, call: (method: Method) => unknown] } = {
  read: [
    'read',
    (method) =>
      function (this: Numbered, buffer: Uint8Array, offset: number, length: number, position: number) {
        return method(this.fd, buffer, offset, length, position)
      },
  ],
  write: [
    'write',
    (method) =>
      function (this: Numbered, buffer: Uint8Array, offset: number, length: number, position: number) {
        return method(this.fd, buffer, offset, length, position)
      },
  ],
  stat: ['fstat', (method) => nothing(method)],
  truncate: [
    'ftruncate',
    (method) =>
      function (this: Numbered, size: number) {
        return method(this.fd, size)
      },
  ],
  chmod: [
    'fchmod',
    (method) =>
      function (this: Numbered, mode: number) {
        return method(this.fd, mode)
      },
  ],
  chown: ['fchown', (method) => two(method)],
  utimes: ['futimes', (method) => two(method)],
  sync: ['fsync', (method) => nothing(method)],
  datasync: ['fdatasync', (method) => nothing(method)],
  close: ['close', (method) => nothing(method)],
}

function nothing(method: Method) {
  return function (this: Numbered) {
    return method(this.fd)
  }
}

function two(method: Method) {
  return function (this: Numbered, one: number, other: number) {
    return method(this.fd, one, other)
  }
}

/** Makes handles of numbers; `descriptors` says that they are descriptors of this process. */
export function handlesByNumber(find: Find, descriptors = false): (fd: number) => HandleLike {
  class FdHandle {
    readonly fd: number
    readonly descriptor: number | undefined
    constructor(fd: number) {
      this.fd = fd
      this.descriptor = descriptors ? fd : undefined
    }
  }
  for (const [key, [name, call]] of Object.entries(CALLS)) {
    const method = find(name)
    if (method !== undefined) Object.assign(FdHandle.prototype, { [key]: call(method) })
  }
  return (fd) => new FdHandle(fd)
}
