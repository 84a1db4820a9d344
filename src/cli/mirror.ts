// devfuse mirror: mounts a directory tree a second time and serves it until it is unmounted.
import type { MirrorOptions } from '../filesystems/mirror/index.js'
import { mountMirror } from '../filesystems/mirror/index.js'
import { EXIT_FAILURE, EXIT_OK, UsageError } from './command.js'
import type { Command, OptionSpec, OptionValues } from './command.js'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const options: Record<string, OptionSpec> = {
  passthrough: {
    type: 'string',
    values: ['auto', 'on', 'off'],
    help: 'Who serves file data. auto (default): the kernel where it can; on: fail if it cannot; off: devfuse.',
  },
  cache: {
    type: 'string',
    placeholder: 'normal|none|SECONDS',
    help: 'How old names and attributes may be when SRC changes by itself. normal (default): 1 second.',
  },
  'read-only': { type: 'boolean', short: 'r', help: 'Nothing can be changed through the mount.' },
  'allow-other': {
    type: 'boolean',
    help: 'Other users may use the mount, too: as their own rights on SRC allow. The default for root.',
  },
  private: {
    type: 'boolean',
    help: 'Only the user who mounts may use the mount. The default for everybody but root.',
  },
  'no-suid': {
    type: 'boolean',
    help: 'Set-user-id and set-group-id bits do not work. The default for everybody but root.',
  },
  'no-dev': { type: 'boolean', help: 'Device files do not work. The default for everybody but root.' },
  noexec: { type: 'boolean', help: 'Programs on the mount cannot be run.' },
  noatime: { type: 'boolean', help: 'Reading does not update access times.' },
  fsname: {
    type: 'string',
    placeholder: 'NAME',
    help: 'The source that mount(8) and df(1) show. Default: SRC.',
  },
  'max-write': {
    type: 'string',
    placeholder: 'BYTES',
    help: 'Largest read or write request. Default: 1048576.',
  },
  'busy-poll': {
    type: 'string',
    placeholder: 'MICROSECONDS',
    help: 'Longest time to look for the next request before sleeping; 0 turns it off. Default: 200.',
  },
  'path-descriptors': {
    type: 'string',
    placeholder: 'COUNT',
    help: 'Most descriptors kept for known files that are not open. Default: a quarter of RLIMIT_NOFILE.',
  },
  quiet: { type: 'boolean', short: 'q', help: 'Do not print the line that says when the mount is ready.' },
}

function numberOf(values: OptionValues, name: string): number | undefined {
  const value = values[name]
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  throw new UsageError(`--${name} needs a whole number, not ${JSON.stringify(value)}`)
}

function cacheOf(value: string | boolean | undefined): MirrorOptions['cache'] {
  if (value === undefined || value === 'normal' || value === 'none') return value
  const seconds = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined
  if (seconds === undefined) {
    throw new UsageError(
      `--cache cannot be ${JSON.stringify(value)}; it is normal, none or a number of seconds`,
    )
  }
  return { entryValid: seconds, attrValid: seconds }
}

/** The options of the library that the ones of the command line stand for. */
export function mirrorOptions(values: OptionValues): MirrorOptions {
  const { passthrough, fsname } = values
  if (values['allow-other'] === true && values.private === true) {
    throw new UsageError('--allow-other and --private exclude each other')
  }
  return {
    passthrough: passthrough === 'on' || passthrough === 'off' ? passthrough : 'auto',
    cache: cacheOf(values.cache),
    // What is not said is left to the mirror, which gives a mount the rights that the source itself has.
    ...(values['read-only'] === true && { readOnly: true }),
    ...(values['allow-other'] === true && { allowOther: true }),
    ...(values.private === true && { allowOther: false }),
    ...(values['no-suid'] === true && { suid: false }),
    ...(values['no-dev'] === true && { dev: false }),
    ...(values.noexec === true && { noexec: true }),
    ...(values.noatime === true && { noatime: true }),
    ...(typeof fsname === 'string' && { fsName: fsname }),
    maxWrite: numberOf(values, 'max-write'),
    busyPoll: numberOf(values, 'busy-poll'),
    maxPathDescriptors: numberOf(values, 'path-descriptors'),
    control: true,
    onWarning: ({ message }) => process.stderr.write(`devfuse: ${message}\n`),
  }
}

async function run([source, mountPoint]: string[], values: OptionValues): Promise<number> {
  const session = await mountMirror(source, mountPoint, mirrorOptions(values))
  // The library unmounts on these signals and would then let them end the process; we end with a status instead.
  for (const signal of SIGNALS) process.on(signal, () => undefined)
  if (values.quiet !== true) {
    const { unavailable } = session.stats().passthrough
    const data = unavailable === undefined ? 'passthrough on' : `passthrough off: ${unavailable}`
    process.stdout.write(
      `${source} is mounted at ${session.mountPoint}, ${data}; ` +
        `unmount with Ctrl-C or \`devfuse unmount ${mountPoint}\`\n`,
    )
  }
  const { reason } = await session.closed
  // What went wrong was reported as a warning.
  return reason === 'unmount' || reason === 'outside' ? EXIT_OK : EXIT_FAILURE
}

export const mirror: Command = {
  name: 'mirror',
  positionals: ['SRC', 'MNT'],
  summary: 'Mount the directory tree SRC a second time at MNT.',
  description: `
Everything below SRC shows at MNT, with names, links, times, extended attributes and ACLs as they are; changes go
both ways. The kernel reads and writes the data of files itself where it can (passthrough), which takes Linux 6.9 and
root. Stays in the foreground; ends with status 0 after Ctrl-C, SIGTERM or an unmount from outside.`,
  options,
  run,
}
