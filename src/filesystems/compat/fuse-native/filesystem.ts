// From handlers by path to a filesystem by nodeid.
import type { Filesystem } from '../../../index.js'
import { directoryRequests, fileRequests } from './files.js'
import type { HandlerCalls } from './handler-calls.js'
import { nameRequests } from './names.js'
import type { Settings } from './options.js'
import { Translation } from './translation.js'
import { xattrRequests } from './xattrs.js'

/** What devfuse mounts. */
export function filesystemOf(calls: HandlerCalls, settings: Settings): Filesystem {
  const translation = new Translation(calls, settings)
  return {
    init: () => calls.init(),
    ...nameRequests(translation),
    ...xattrRequests(translation),
    ...fileRequests(translation),
    ...directoryRequests(translation),
    destroy: () => calls.end(),
  }
}
