// A reporter for Node's test runner: only the tests that failed, each with where it is and what it said.
import { relative } from 'node:path'

export default async function* failures(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:fail' || data.todo !== undefined || data.skip !== undefined) continue
    const { error } = data.details
    // A suite only repeats what its tests said.
    if (error.failureType === 'subtestsFailed') continue
    const cause = error.cause ?? error
    yield `failed: ${relative('.', data.file ?? '')}: ${data.name}\n${cause.stack ?? cause}\n`
  }
}
