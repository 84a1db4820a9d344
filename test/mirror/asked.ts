// A mirror's handlers, called as a session would call them.
import { strict as assert } from 'node:assert'
import { rmSync } from 'node:fs'
import { afterEach, beforeEach } from 'node:test'
import { mirror } from 'devfuse/mirror'
import type { MirrorFilesystem, MirrorOptions } from 'devfuse/mirror'
import { temporary } from './mounted.js'

export type Fields = Record<string, unknown>
export type Answer = Record<string, unknown> & { nodeid: number; fh: number; attr: Record<string, unknown> }

/** Calls a handler with the fields of a request by root. */
export function askOf(filesystem: MirrorFilesystem, name: string, fields: Fields): unknown {
  const handler = Reflect.get(filesystem, name) as (request: Fields) => unknown
  const request = { unique: 2, nodeid: 1, uid: 0, gid: 0, pid: 1, umask: 0o022, flags: 0, ...fields }
  return handler.call(filesystem, request)
}

export function handlersOf(filesystem: () => MirrorFilesystem) {
  const ask = (name: string, fields: Fields): unknown => askOf(filesystem(), name, fields)
  /** The same, for an answer that must not be an errno. */
  const get = (name: string, fields: Fields): Answer => {
    const answer = ask(name, fields)
    assert.equal(typeof answer, 'object', `${name}: ${String(answer)}`)
    return answer as Answer
  }
  return { ask, get }
}

/**
 * Gives every test a directory of its own with a mirror of it, which `use` is told, and asks the mirror that was told last: `mirrorAgain`
 * makes another one of the same directory.
 */
export function eachMirrored(
  use: (one: { dir: string; filesystem: MirrorFilesystem }) => void,
  make: (dir: string, options?: MirrorOptions) => MirrorFilesystem = mirror,
) {
  let dir: string
  let filesystem: MirrorFilesystem
  const begin = (options?: MirrorOptions): void => {
    filesystem = make(dir, options)
    use({ dir, filesystem })
  }
  beforeEach(() => {
    dir = temporary()
    begin()
  })
  afterEach(() => {
    filesystem.dispose()
    rmSync(dir, { recursive: true })
  })
  const mirrorAgain = (options: MirrorOptions): void => {
    filesystem.dispose()
    begin(options)
  }
  return { ...handlersOf(() => filesystem), mirrorAgain }
}
