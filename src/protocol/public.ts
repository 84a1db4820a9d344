// What of the protocol a filesystem author sees through the main entry: errors, constants, requests, answers, and the
// interface of a filesystem.

export { describeRequest } from './describe.js'
export { direntType } from './dirent.js'
export { EncodedDirents } from './encoded-dirents.js'
export type { ListingOwner } from './encoded-dirents.js'
export * from './errno.js'
export type { Extensions } from './extensions.js'
export * from './generated/constants.js'
export type { Filesystem } from './generated/filesystem.js'
export type { HandlerName, OperationName } from './generated/info.js'
export type { NotificationName } from './generated/notifications.js'
export type {
  Attr,
  AttrReply,
  CreateReply,
  Entry,
  FileLock,
  ForgetOne,
  NegativeEntry,
  OpenReply,
  Statfs,
  Statx,
  StatxReply,
  StatxTime,
} from './generated/replies.js'
export type * from './generated/requests.js'
export type { NameEncoding } from './names.js'
export type { Dirent, Direntplus, Dirents, FdData, IoctlIovec, IoctlReply, Reply } from './reply.js'
export type { Request, RequestContext } from './request.js'
