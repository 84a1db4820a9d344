// Linux error numbers, negative as they travel in a reply. A handler returns one of these instead of throwing.

export const EPERM = -1 as const
export const ENOENT = -2 as const
export const ESRCH = -3 as const
export const EINTR = -4 as const
export const EIO = -5 as const
export const ENXIO = -6 as const
export const E2BIG = -7 as const
export const ENOEXEC = -8 as const
export const EBADF = -9 as const
export const ECHILD = -10 as const
export const EAGAIN = -11 as const
export const ENOMEM = -12 as const
export const EACCES = -13 as const
export const EFAULT = -14 as const
export const ENOTBLK = -15 as const
export const EBUSY = -16 as const
export const EEXIST = -17 as const
export const EXDEV = -18 as const
export const ENODEV = -19 as const
export const ENOTDIR = -20 as const
export const EISDIR = -21 as const
export const EINVAL = -22 as const
export const ENFILE = -23 as const
export const EMFILE = -24 as const
export const ENOTTY = -25 as const
export const ETXTBSY = -26 as const
export const EFBIG = -27 as const
export const ENOSPC = -28 as const
export const ESPIPE = -29 as const
export const EROFS = -30 as const
export const EMLINK = -31 as const
export const EPIPE = -32 as const
export const EDOM = -33 as const
export const ERANGE = -34 as const
export const EDEADLK = -35 as const
export const ENAMETOOLONG = -36 as const
export const ENOLCK = -37 as const
export const ENOSYS = -38 as const
export const ENOTEMPTY = -39 as const
export const ELOOP = -40 as const
export const ENOMSG = -42 as const
export const EIDRM = -43 as const
export const ECHRNG = -44 as const
export const EL2NSYNC = -45 as const
export const EL3HLT = -46 as const
export const EL3RST = -47 as const
export const ELNRNG = -48 as const
export const EUNATCH = -49 as const
export const ENOCSI = -50 as const
export const EL2HLT = -51 as const
export const EBADE = -52 as const
export const EBADR = -53 as const
export const EXFULL = -54 as const
export const ENOANO = -55 as const
export const EBADRQC = -56 as const
export const EBADSLT = -57 as const
export const EBFONT = -59 as const
export const ENOSTR = -60 as const
export const ENODATA = -61 as const
export const ETIME = -62 as const
export const ENOSR = -63 as const
export const ENONET = -64 as const
export const ENOPKG = -65 as const
export const EREMOTE = -66 as const
export const ENOLINK = -67 as const
export const EADV = -68 as const
export const ESRMNT = -69 as const
export const ECOMM = -70 as const
export const EPROTO = -71 as const
export const EMULTIHOP = -72 as const
export const EDOTDOT = -73 as const
export const EBADMSG = -74 as const
export const EOVERFLOW = -75 as const
export const ENOTUNIQ = -76 as const
export const EBADFD = -77 as const
export const EREMCHG = -78 as const
export const ELIBACC = -79 as const
export const ELIBBAD = -80 as const
export const ELIBSCN = -81 as const
export const ELIBMAX = -82 as const
export const ELIBEXEC = -83 as const
export const EILSEQ = -84 as const
export const ERESTART = -85 as const
export const ESTRPIPE = -86 as const
export const EUSERS = -87 as const
export const ENOTSOCK = -88 as const
export const EDESTADDRREQ = -89 as const
export const EMSGSIZE = -90 as const
export const EPROTOTYPE = -91 as const
export const ENOPROTOOPT = -92 as const
export const EPROTONOSUPPORT = -93 as const
export const ESOCKTNOSUPPORT = -94 as const
export const EOPNOTSUPP = -95 as const
export const EPFNOSUPPORT = -96 as const
export const EAFNOSUPPORT = -97 as const
export const EADDRINUSE = -98 as const
export const EADDRNOTAVAIL = -99 as const
export const ENETDOWN = -100 as const
export const ENETUNREACH = -101 as const
export const ENETRESET = -102 as const
export const ECONNABORTED = -103 as const
export const ECONNRESET = -104 as const
export const ENOBUFS = -105 as const
export const EISCONN = -106 as const
export const ENOTCONN = -107 as const
export const ESHUTDOWN = -108 as const
export const ETOOMANYREFS = -109 as const
export const ETIMEDOUT = -110 as const
export const ECONNREFUSED = -111 as const
export const EHOSTDOWN = -112 as const
export const EHOSTUNREACH = -113 as const
export const EALREADY = -114 as const
export const EINPROGRESS = -115 as const
export const ESTALE = -116 as const
export const EUCLEAN = -117 as const
export const ENOTNAM = -118 as const
export const ENAVAIL = -119 as const
export const EISNAM = -120 as const
export const EREMOTEIO = -121 as const
export const EDQUOT = -122 as const
export const ENOMEDIUM = -123 as const
export const EMEDIUMTYPE = -124 as const
export const ECANCELED = -125 as const
export const ENOKEY = -126 as const
export const EKEYEXPIRED = -127 as const
export const EKEYREVOKED = -128 as const
export const EKEYREJECTED = -129 as const
export const EOWNERDEAD = -130 as const
export const ENOTRECOVERABLE = -131 as const
export const ERFKILL = -132 as const
export const EHWPOISON = -133 as const
/** The same number as EAGAIN. */
export const EWOULDBLOCK = EAGAIN
/** The same number as EDEADLK. */
export const EDEADLOCK = EDEADLK
/** The same number as EOPNOTSUPP. */
export const ENOTSUP = EOPNOTSUPP
/** Kernel: the name of "no such attribute" in the man pages of extended attributes. */
export const ENOATTR = ENODATA

const byName = {
  EPERM,
  ENOENT,
  ESRCH,
  EINTR,
  EIO,
  ENXIO,
  E2BIG,
  ENOEXEC,
  EBADF,
  ECHILD,
  EAGAIN,
  ENOMEM,
  EACCES,
  EFAULT,
  ENOTBLK,
  EBUSY,
  EEXIST,
  EXDEV,
  ENODEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  ENFILE,
  EMFILE,
  ENOTTY,
  ETXTBSY,
  EFBIG,
  ENOSPC,
  ESPIPE,
  EROFS,
  EMLINK,
  EPIPE,
  EDOM,
  ERANGE,
  EDEADLK,
  ENAMETOOLONG,
  ENOLCK,
  ENOSYS,
  ENOTEMPTY,
  ELOOP,
  ENOMSG,
  EIDRM,
  ECHRNG,
  EL2NSYNC,
  EL3HLT,
  EL3RST,
  ELNRNG,
  EUNATCH,
  ENOCSI,
  EL2HLT,
  EBADE,
  EBADR,
  EXFULL,
  ENOANO,
  EBADRQC,
  EBADSLT,
  EBFONT,
  ENOSTR,
  ENODATA,
  ETIME,
  ENOSR,
  ENONET,
  ENOPKG,
  EREMOTE,
  ENOLINK,
  EADV,
  ESRMNT,
  ECOMM,
  EPROTO,
  EMULTIHOP,
  EDOTDOT,
  EBADMSG,
  EOVERFLOW,
  ENOTUNIQ,
  EBADFD,
  EREMCHG,
  ELIBACC,
  ELIBBAD,
  ELIBSCN,
  ELIBMAX,
  ELIBEXEC,
  EILSEQ,
  ERESTART,
  ESTRPIPE,
  EUSERS,
  ENOTSOCK,
  EDESTADDRREQ,
  EMSGSIZE,
  EPROTOTYPE,
  ENOPROTOOPT,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
  EOPNOTSUPP,
  EPFNOSUPPORT,
  EAFNOSUPPORT,
  EADDRINUSE,
  EADDRNOTAVAIL,
  ENETDOWN,
  ENETUNREACH,
  ENETRESET,
  ECONNABORTED,
  ECONNRESET,
  ENOBUFS,
  EISCONN,
  ENOTCONN,
  ESHUTDOWN,
  ETOOMANYREFS,
  ETIMEDOUT,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EALREADY,
  EINPROGRESS,
  ESTALE,
  EUCLEAN,
  ENOTNAM,
  ENAVAIL,
  EISNAM,
  EREMOTEIO,
  EDQUOT,
  ENOMEDIUM,
  EMEDIUMTYPE,
  ECANCELED,
  ENOKEY,
  EKEYEXPIRED,
  EKEYREVOKED,
  EKEYREJECTED,
  EOWNERDEAD,
  ENOTRECOVERABLE,
  ERFKILL,
  EHWPOISON,
} as const

/** Name of a Linux error: `'ENOENT'`. */
export type ErrnoName = keyof typeof byName

/** A negative Linux error number: `-2`. */
export type Errno = (typeof byName)[ErrnoName]

const aliases = { EWOULDBLOCK, EDEADLOCK, ENOTSUP, ENOATTR } as const

const names = new Map<number, ErrnoName>()
for (const [name, value] of Object.entries(byName)) names.set(value, name as ErrnoName)

/** Name of an errno, given negative or positive; `undefined` for a number Linux does not know. */
export function errnoName(errno: number): ErrnoName | undefined {
  return names.get(-Math.abs(errno))
}

/** Negative number of an error name (the `code` of a Node error); `undefined` for a name Linux does not know. */
export function errnoOf(name: string): Errno | undefined {
  if (Object.hasOwn(byName, name)) return byName[name as ErrnoName]
  return Object.hasOwn(aliases, name) ? aliases[name as keyof typeof aliases] : undefined
}

/** Name of an errno for messages: `ENOENT`, or `errno 999` for a number Linux does not know. */
export function describeErrno(errno: number): string {
  return errnoName(errno) ?? `errno ${Math.abs(errno)}`
}
