// unionfs: one filesystem over others.
import { withMemfsWays } from './memfs.js'
import { nodeShape } from './node-shape.js'
import { bound } from './shape.js'
import type { Shape, Thing } from './shape.js'
import { isUnion, traitsOf } from './traits.js'

/** Numbers of open files mean something to one of the layers only, and each has its own: so files are opened as objects. */
export const union: Shape = {
  name: 'unionfs',
  needs: 'use and fss',
  fits: isUnion,
  // Its layers are memfs as a rule, and what is done for that harms no other.
  adapt: (thing) =>
    withMemfsWays(
      nodeShape((name) => bound(thing, `${name}Sync`), bound(thing['promises'] as Thing, 'open'), {
        ...traitsOf(thing),
        cheapStat: true,
      }),
    ),
}
