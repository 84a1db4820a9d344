// Calls that watch filesystems for changes: fanotify(7).
import { numbers as nr } from './numbers.js'
import type { Door } from './door.js'

export function watchCalls({ call }: Door) {
  return {
    /**
     * fanotify_init(2): a descriptor whose read(2) gives struct fanotify_event_metadata, or -errno; `flags` are FAN_CLASS_*,
     * FAN_REPORT_* and the like, `eventFlags` those of open(2) for descriptors in events.
     */
    fanotifyInit: (flags: number, eventFlags = 0): number => call(nr.fanotify_init, flags, eventFlags),
    /** fanotify_mark(2): 0 or -errno; `flags` are FAN_MARK_* bits, `mask` the events. */
    fanotifyMark: (fd: number, flags: number, mask: number, dirfd: number, path: string): number =>
      call(nr.fanotify_mark, fd, flags, mask, dirfd, path),
  }
}
