// A compressed archive as a directory, served by a thread for each CPU: decompressing is what takes the time here, and
// several files are read on several CPUs. `compressed.js MNT ARCHIVE [WORKERS [ring|device]]`; `compressed.js pack DIR ARCHIVE` makes one.
import { mount } from 'devfuse'
import { pack } from './compressed-store.js'

const [first, second, third = 'auto', fourth = 'auto'] = process.argv.slice(2)
if (first === undefined || second === undefined) {
  console.error('usage: compressed.js MNT ARCHIVE [WORKERS [ring|device]], or compressed.js pack DIR ARCHIVE')
  process.exit(1)
}
if (first === 'pack') {
  pack(second, third)
} else {
  const session = await mount(first, new URL('./compressed-store.js', import.meta.url), {
    data: { archive: second },
    workers: third === 'auto' ? 'auto' : Number(third),
    transport: fourth as 'auto' | 'ring' | 'device',
    readOnly: true,
  })
  const { threads, transport } = await session.stats()
  console.log(`${second} is mounted at ${first}, served by ${threads} threads over ${transport}`)
  await session.closed
}
