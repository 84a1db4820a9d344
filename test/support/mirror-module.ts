// A module that makes a filesystem, for mounts served by a worker thread: a mirror of the directory `data.source`.
import { mirror } from 'devfuse/mirror'
import type { MirrorFilesystem } from 'devfuse/mirror'

/** What the module is told. */
export interface Data {
  source: string
}

export default async function make({ source }: Data): Promise<MirrorFilesystem> {
  // An async maker is awaited.
  await Promise.resolve()
  return mirror(source, { passthrough: 'off' })
}
