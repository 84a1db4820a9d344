// Serves one mirror for the tests, as a process of its own: SRC MNT OPTIONS(JSON). Says `ready`, answers `known` lines on
// standard input with counts, writes a file itself on `write PATH TEXT`, and unmounts at its end.
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { mount } from 'devfuse'
import { mirror } from 'devfuse/mirror'
import { transportUnderTest } from '../support/mounting.js'

const [source = '', mountPoint = '', options = '{}'] = process.argv.slice(2)
const warnings: string[] = []
const filesystem = mirror(source, {
  ...JSON.parse(options),
  onWarning: ({ message }) => void warnings.push(message),
})
const session = await mount(mountPoint, filesystem, {
  ...filesystem.mountOptions,
  transport: transportUnderTest,
})
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [command, path, text = ''] = line.split(' ')
  if (command === 'write') writeFileSync(path, text)
  if (command !== 'known') continue
  const { operations, passthrough } = session.stats()
  const { watching, known } = filesystem
  console.log(JSON.stringify({ ...known, watching, pid: process.pid, operations, passthrough, warnings }))
}
await session.unmount({ lazy: true })
