// What each thread of a mirror with `workers` serves. Not for authors: mountMirror() names it.
import { Crew } from './crew.js'
import { assemble } from './index.js'
import type { MirrorFilesystem } from './index.js'
import { closeOnce } from './team.js'
import type { MirrorData } from './team.js'

export default function thread(data: MirrorData): MirrorFilesystem {
  const crew = new Crew(data.crew)
  const source = data.sources[crew.index]
  return assemble(data.source, source, data.options, () => closeOnce(data, crew.index), crew)
}
