// The log that writer and readers of the storm share: for every name the last states and when each ended.

/** Directories, names in each, and states remembered of each name. */
export const DIRS = 8
export const NAMES = 24
export const STATES = 256
/** Per state: what it is, and when the call that ended it returned, in ns of the monotonic clock; 0: it lasts. */
export const WORDS = 2
/** Per name: number of states so far, whether a change is under way, then the states. */
export const NAME_WORDS = 2 + STATES * WORDS
/** After all names one word: the writer has finished. */
export const LOG_BYTES = 8 * (DIRS * NAMES * NAME_WORDS + 1)
