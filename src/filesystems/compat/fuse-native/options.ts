// The options of fuse-native: first the words that libfuse is told (`-oallow_other,umask=022`), as there, so that a subclass
// may add some; then what these words mean here. Every word is honoured or refused by name.
import { OptionError } from '../../../index.js'
import type { SessionOptions } from '../../../index.js'
import type { Options } from './types.js'

/** What is done to attributes, names and data on their way to the kernel. */
export interface Settings {
  debug: boolean
  kernelCache: boolean
  autoCache: boolean
  directIo: boolean
  /** Permission bits that every mode gets instead of its own. */
  permissions?: number
  uid?: number
  gid?: number
  /** Seconds. */
  entryTimeout: number
  negativeTimeout: number
  attrTimeout: number
  acAttrTimeout: number
  /** How long a file keeps its number after the kernel has forgotten it: Infinity for `noforget`. */
  remember: number
}

/** Option and word, in the order of fuse-native. A word that ends in `=` takes the option's value. */
const WORDS: readonly (readonly [keyof Options, string])[] = [
  ['debug', 'debug'],
  ['allowOther', 'allow_other'],
  ['allowRoot', 'allow_root'],
  ['autoUnmount', 'auto_unmount'],
  ['defaultPermissions', 'default_permissions'],
  ['blkdev', 'blkdev'],
  ['blksize', 'blksize='],
  ['maxRead', 'max_read='],
  ['fd', 'fd='],
  ['userId', 'user_id='],
  ['fsname', 'fsname='],
  ['subtype', 'subtype='],
  ['kernelCache', 'kernel_cache'],
  ['autoCache', 'auto_cache'],
  ['umask', 'umask='],
  ['uid', 'uid='],
  ['gid', 'gid='],
  ['entryTimeout', 'entry_timeout='],
  ['attrTimeout', 'attr_timeout='],
  ['acAttrTimeout', 'ac_attr_timeout='],
  ['noforget', 'noforget'],
  ['remember', 'remember='],
  ['modules', 'modules='],
]

/** Options that never reach libfuse. */
const OWN: readonly string[] = ['force', 'mkdir', 'timeout']

const MACOS_ONLY: readonly string[] = ['displayFolder', 'name']

/** The words behind `-o`, or '' where there is none. What is false or empty is left out, as in fuse-native; but 0 is a value. */
export function wordsOf(options: Options): string {
  const words = WORDS.flatMap(([name, word]) => {
    const value = options[name]
    if (!word.endsWith('=')) return value ? word : []
    if (value === undefined || value === null || value === false || value === '') return []
    if (typeof value === 'string' || typeof value === 'number') return word + escape(`${value}`)
    throw new OptionError(`the option \`${name}\` must be a number or a string, not ${typeof value}`)
  })
  return words.length === 0 ? '' : `-o${words.join(',')}`
}

/** What there is to say about options that no word stands for; each once. */
export function remarksOn(options: object): string[] {
  const known = new Set<string>(WORDS.map(([name]) => name))
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || value === false || known.has(name) || OWN.includes(name)) return []
    return MACOS_ONLY.includes(name)
      ? `the option \`${name}\` has no effect: it means something on macOS only`
      : `the option \`${name}\` has no effect: fuse-native has no such option`
  })
}

/** Words of libfuse that cannot be honoured, and what to do instead. */
const REFUSED: Record<string, string> = {
  modules: 'it loads modules of libfuse; wrap the handlers instead (devfuse/wrappers has `subdir`)',
  fd: 'it belongs to libfuse; to serve a descriptor that is mounted already use `fromFd` of devfuse',
  rootmode: 'it belongs to libfuse',
  group_id: 'it belongs to libfuse; `userId` says who owns the mount',
  use_ino: 'numbers of files are given out by the library',
  hard_remove: 'files that are open keep working after they are removed',
}

/** Words that are always so here. */
const ALWAYS: readonly string[] = ['nonempty', 'big_writes', 'async_read', 'readdir_ino']

type Meaning = (settings: Settings, session: SessionOptions) => void

const FLAGS: Record<string, Meaning> = {
  debug: (settings) => (settings.debug = true),
  kernel_cache(settings, session) {
    settings.kernelCache = true
    // What is cached stays, whatever the handlers say of size and times.
    refuse(session, 'FUSE_AUTO_INVAL_DATA')
  },
  auto_cache: (settings) => (settings.autoCache = true),
  noforget: (settings) => (settings.remember = Infinity),
  direct_io: (settings) => (settings.directIo = true),
  sync_read: (_, session) => refuse(session, 'FUSE_ASYNC_READ'),
}

const VALUES: Record<string, (value: string, ...to: Parameters<Meaning>) => void> = {
  user_id: (value, _, session) =>
    (session.owner = { uid: id('user_id', value), gid: process.getgid?.() ?? 0 }),
  fsname: (value, _, session) => (session.fsName = value),
  subtype: (value, _, session) => (session.subtype = value),
  // Kernel: fuse_fill_super takes 4096 for anything below.
  max_read: (value, _, session) => (session.maxRead = Math.max(4096, integer('max_read', value))),
  max_write: (value, _, session) => (session.maxWrite = Math.max(4096, integer('max_write', value))),
  max_readahead: (value, _, session) => (session.maxReadahead = integer('max_readahead', value)),
  max_background: (value, _, session) => (session.maxBackground = integer('max_background', value)),
  congestion_threshold: (value, _, session) =>
    (session.congestionThreshold = integer('congestion_threshold', value)),
  blksize: (value, _, session) => (session.blksize = integer('blksize', value)),
  umask: (value, settings) => (settings.permissions = 0o777 & ~octal('umask', value)),
  uid: (value, settings) => (settings.uid = id('uid', value)),
  gid: (value, settings) => (settings.gid = id('gid', value)),
  entry_timeout: (value, settings) => (settings.entryTimeout = seconds('entry_timeout', value)),
  negative_timeout: (value, settings) => (settings.negativeTimeout = seconds('negative_timeout', value)),
  attr_timeout: (value, settings) => (settings.attrTimeout = seconds('attr_timeout', value)),
  ac_attr_timeout: (value, settings) => (settings.acAttrTimeout = seconds('ac_attr_timeout', value)),
  remember: (value, settings) => (settings.remember = seconds('remember', value)),
}

/** What the words mean. Throws an OptionError for one that cannot be honoured. */
export function meaningOf(words: string): { settings: Settings; session: SessionOptions } {
  const settings: Settings = {
    debug: false,
    kernelCache: false,
    autoCache: false,
    directIo: false,
    entryTimeout: 1,
    negativeTimeout: 0,
    attrTimeout: 1,
    acAttrTimeout: Number.NaN,
    remember: 0,
  }
  const session: SessionOptions = {}
  const others: string[] = []
  let blkdev = false
  for (const word of split(words.replace(/^-o/, ''))) {
    const at = word.indexOf('=')
    const key = at < 0 ? word : word.slice(0, at)
    if (Object.hasOwn(REFUSED, key)) {
      throw new OptionError(`the mount option \`${key}\` is not supported: ${REFUSED[key]}`)
    } else if (key === 'blkdev') blkdev = true
    else if (at < 0 && Object.hasOwn(FLAGS, key)) FLAGS[key](settings, session)
    else if (at >= 0 && Object.hasOwn(VALUES, key)) VALUES[key](word.slice(at + 1), settings, session)
    // What is no word of libfuse is one of mount(8); the kernel refuses what it does not know either.
    else if (!ALWAYS.includes(word)) others.push(word)
  }
  if (blkdev) nameBlockDevice(session)
  else if (session.blksize !== undefined) throw new OptionError('the option `blksize` needs `blkdev`')
  session.fsName ??= session.subtype ?? '/dev/fuse'
  if (others.length > 0) session.options = others
  if (Number.isNaN(settings.acAttrTimeout)) settings.acAttrTimeout = settings.attrTimeout
  return { settings, session }
}

function refuse(session: SessionOptions, flag: NonNullable<SessionOptions['refuse']>[number]): void {
  session.refuse = [...(session.refuse ?? []), flag]
}

function nameBlockDevice(session: SessionOptions): void {
  if (session.fsName === undefined || !session.fsName.startsWith('/'))
    throw new OptionError('the option `blkdev` needs `fsname`, the path of the block device')
  session.blockDevice = session.fsName
}

/** A comma in a value would smuggle another word in: libfuse takes a backslash before it. */
function escape(value: string): string {
  return value.replaceAll(/[\\,]/g, String.raw`\$&`)
}

function split(words: string): string[] {
  const list = [...words.matchAll(/(?:\\.|[^,\\])+/gs)]
  return list.map(([word]) => word.replaceAll(/\\(.)/gs, '$1'))
}

function integer(word: string, value: string): number {
  if (!/^\d+$/.test(value)) throw wrong(word, value, 'a whole number')
  return Number(value)
}

function id(word: string, value: string): number {
  const number = integer(word, value)
  if (number >= 0xffff_ffff) throw wrong(word, value, 'an id below 4294967295')
  return number
}

function octal(word: string, value: string): number {
  if (!/^[0-7]{1,4}$/.test(value))
    throw wrong(
      word,
      value,
      "octal digits: write umask: '022', since the digits of a number are read as octal, too",
    )
  return Number.parseInt(value, 8)
}

function seconds(word: string, value: string): number {
  const number = value === '' ? Number.NaN : Number(value)
  if (!Number.isFinite(number) || number < 0) throw wrong(word, value, 'a number of seconds')
  return number
}

function wrong(word: string, value: string, what: string): OptionError {
  return new OptionError(`the mount option \`${word}\` must be ${what}, not ${JSON.stringify(value)}`)
}
