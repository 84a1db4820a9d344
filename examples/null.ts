// A filesystem without a single operation: it mounts, and answers "not implemented" to everybody.
import { mount } from 'devfuse'

await using session = await mount(process.argv[2] ?? '/mnt', {})
console.log(`mounted; in another terminal: stat ${session.mountPoint}`)
await session.closed
