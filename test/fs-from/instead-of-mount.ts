// Stands in for `devfuse` in an example: its mount() mounts nothing, but runs a script of calls on a view, prints the result
// and ends the process. The script is the body of an async function of `fs`, in the environment variable SCRIPT.
import type { Filesystem, SessionOptions } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'

export * from 'devfuse'

export async function mount(_: string, filesystem: Filesystem, options: SessionOptions = {}): Promise<never> {
  const fs = fsFrom(filesystem, { umask: 0o022, defaultPermissions: options.defaultPermissions })
  // oxlint-disable-next-line no-new-func, typescript/no-implied-eval
  const script = new Function('fs', `return (async () => { ${process.env['SCRIPT'] ?? ''} })()`) as (
    fs: FsView,
  ) => Promise<unknown>
  const result = await script(fs)
  console.log(JSON.stringify({ result, left: await fs.close() }))
  process.exit(0)
}
