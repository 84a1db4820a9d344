// The subject `mirror` in each of its modes: node mirror.js SOURCE MOUNTPOINT [OPTIONS-AS-JSON]
import { mountMirror } from 'devfuse/mirror'
import type { MirrorOptions } from 'devfuse/mirror'

const options = JSON.parse(process.argv[4] ?? '{}') as MirrorOptions
const session = await mountMirror(process.argv[2], process.argv[3], {
  onWarning: ({ message }) => console.error(message),
  ...options,
})
await session.closed
