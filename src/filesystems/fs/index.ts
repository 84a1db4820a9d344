// devfuse/fs: filesystems by path. A relaxed subset of node:fs/promises is a filesystem.
export { fsFilesystem } from './filesystem.js'
export type { FsFilesystem } from './filesystem.js'
export { mountFs } from './mount-fs.js'
export type { AnyFilesystem } from './mount-fs.js'
export { recognise } from './recognise.js'
export type { Recognised } from './recognise.js'
export type { ShapeOptions } from './shapes/shape.js'
export type { FsOptions, PathOptions } from './options.js'
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
export type { FollowOptions, FsCalls, FsFromOptions, FsHandle, FsView, Leaks } from '../fs-from/index.js'
