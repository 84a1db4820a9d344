// The subject `hello`: the smallest filesystem with a statfs handler of its own, so that a round trip includes calling one.
//   node hello.js MOUNTPOINT [OPTIONS-AS-JSON]
import { mount } from 'devfuse'
import type { ModuleOptions } from 'devfuse'
import hello from './hello-module.js'

const options = JSON.parse(process.argv[3] ?? '{}') as ModuleOptions
const module = new URL('hello-module.js', import.meta.url)
const session = await (options.workers === undefined
  ? mount(process.argv[2], hello, options)
  : mount(process.argv[2], module, options))
await session.closed
