// What every request has in common: the header, and a signal that is made only when asked for. The generated
// request classes extend this one.

/** What a request needs from the session that received it. */
export interface RequestContext {
  /** The signal of a request: aborted when the caller no longer waits (FUSE_INTERRUPT). */
  signalOf(request: Request): AbortSignal
  /** The supplementary groups of the caller, undefined where it cannot be seen. */
  groupsOf(request: Request): number[] | undefined
}

/** Header of a request; the generated classes add the fields of their operation. */
export class Request {
  /** The session's side of the request. */
  declare readonly context: RequestContext
  /** Id of the request, without the mark of a resent one. */
  declare readonly unique: number
  /** The inode the request is about: 1 is the root, the others were given out by this filesystem. */
  declare readonly nodeid: number
  /**
   * User id the caller acts under. With FUSE_ALLOW_IDMAP agreed, on whatever mount of the connection: the owner to give to
   * what is created (create, mkdir, mknod, symlink, tmpfile), mapped by the mount that was used, and FUSE_INVALID_UIDGID in
   * every other request: then nobody learns who calls, and the kernel checks permissions.
   */
  declare readonly uid: number
  /** Group id the caller acts under; with FUSE_ALLOW_IDMAP as `uid`. */
  declare readonly gid: number
  /** Process id (of the thread) of the caller; 0 when it lies outside the pid namespace of the mount. */
  declare readonly pid: number
  /** The kernel sends this request for a second time (FUSE_NOTIFY_RESEND): it may have been carried out already. */
  declare readonly resent: boolean

  constructor(
    context: RequestContext,
    unique: number,
    nodeid: number,
    uid: number,
    gid: number,
    pid: number,
    resent: boolean,
  ) {
    this.context = context
    this.unique = unique
    this.nodeid = nodeid
    this.uid = uid
    this.gid = gid
    this.pid = pid
    this.resent = resent
  }

  /** Aborted when the caller was interrupted and no longer waits for the answer. */
  get signal(): AbortSignal {
    return this.context.signalOf(this)
  }

  /**
   * Supplementary group ids of the caller, read from /proc/PID/status each time. Undefined where the caller cannot be seen: it
   * lies in another pid namespace, or is gone, so ask before the first `await`. What creation needs comes with the request
   * itself (FUSE_CREATE_SUPP_GROUP). Source: proc(5).
   */
  get groups(): number[] | undefined {
    return this.context.groupsOf(this)
  }
}
