// devfuse/fs: filesystems by path. A relaxed subset of node:fs/promises is a filesystem.
export type {
  Awaitable,
  Caller,
  Chunk,
  ContentLike,
  EntryLike,
  FileType,
  HandleLike,
  Listing,
  PathFilesystem,
  ReadStreamOptions,
  StatsFsLike,
  StatsLike,
  Time,
} from './path-filesystem.js'
export { fsFrom } from '../fs-from/index.js'
export type { FollowOptions, FsCalls, FsFileHandle, FsFromOptions, FsView, Leaks } from '../fs-from/index.js'
