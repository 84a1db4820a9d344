// A mirror's handlers, called as a session would call them.
import { strict as assert } from 'node:assert'
import type { MirrorFilesystem } from 'devfuse/mirror'

export type Fields = Record<string, unknown>
export type Answer = Record<string, unknown> & { nodeid: number; fh: number; attr: Record<string, unknown> }

export function handlersOf(filesystem: () => MirrorFilesystem) {
  /** Calls a handler with the fields of a request by root. */
  const ask = (name: string, fields: Fields): unknown => {
    const handler = Reflect.get(filesystem(), name) as (request: Fields) => unknown
    return handler.call(filesystem(), {
      unique: 2,
      nodeid: 1,
      uid: 0,
      gid: 0,
      pid: 1,
      umask: 0o022,
      flags: 0,
      ...fields,
    })
  }
  /** The same, for an answer that must not be an errno. */
  const get = (name: string, fields: Fields): Answer => {
    const answer = ask(name, fields)
    assert.equal(typeof answer, 'object', `${name}: ${String(answer)}`)
    return answer as Answer
  }
  return { ask, get }
}
