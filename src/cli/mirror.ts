// devfuse mirror: mounts a directory tree a second time and serves it until it is unmounted.
import type { MirrorOptions, MountMirrorOptions } from '../filesystems/mirror/index.js'
import { mountMirror } from '../filesystems/mirror/index.js'
import { UsageError, unmountCommand } from './command.js'
import type { Command, OptionSpec, OptionValues } from './command.js'
import { mountOptions, mountSpecs, untilClosed } from './foreground.js'

const options: Record<string, OptionSpec> = {
  passthrough: {
    type: 'string',
    values: ['auto', 'on', 'off'],
    help: 'Who serves file data. auto (default): the kernel where it can; on: fail if it cannot; off: devfuse.',
  },
  cache: {
    type: 'string',
    placeholder: 'normal|none|strong|SECONDS',
    help:
      'How old names and attributes may be when SRC changes by itself. normal (default): 1 second; strong: SRC is watched, ' +
      'and everything else stays cached (root, Linux 6.16). From 60 seconds on, listings stay cached, too.',
  },
  'read-only': { type: 'boolean', short: 'r', help: 'Nothing can be changed through the mount.' },
  'allow-other': {
    type: 'boolean',
    help: 'Other users may use the mount, too: as their own rights on SRC allow. The default for root.',
  },
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
  workers: {
    type: 'string',
    placeholder: 'COUNT|auto',
    help: 'Threads that serve; auto: one for each CPU. Passthrough is off then; SRC on ext4, xfs or btrfs. Default: 1.',
  },
  'path-descriptors': {
    type: 'string',
    placeholder: 'COUNT',
    help: 'Most descriptors kept for known files that are not open. Default: a quarter of RLIMIT_NOFILE.',
  },
  ...mountSpecs,
}

function numberOf(values: OptionValues, name: string): number | undefined {
  const value = values[name]
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^\d+$/.test(value)) return Number(value)
  throw new UsageError(`--${name} needs a whole number, not ${JSON.stringify(value)}`)
}

function cacheOf(value: string | boolean | undefined): MirrorOptions['cache'] {
  if (value === undefined || value === 'normal' || value === 'none' || value === 'strong') return value
  const seconds = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined
  if (seconds === undefined) {
    throw new UsageError(
      `--cache cannot be ${JSON.stringify(value)}; it is normal, none, strong or a number of seconds`,
    )
  }
  return { entryValid: seconds, attrValid: seconds }
}

/** The options of the library that the ones of the command line stand for. */
export function mirrorOptions(values: OptionValues): MountMirrorOptions {
  const { passthrough } = values
  return {
    passthrough: passthrough === 'on' || passthrough === 'off' ? passthrough : 'auto',
    cache: cacheOf(values.cache),
    // What is not said is left to the mirror, which gives a mount the rights that the source itself has.
    ...(values['read-only'] === true && { readOnly: true }),
    ...mountOptions(values),
    maxWrite: numberOf(values, 'max-write'),
    busyPoll: numberOf(values, 'busy-poll'),
    workers: values.workers === 'auto' ? 'auto' : numberOf(values, 'workers'),
    maxPathDescriptors: numberOf(values, 'path-descriptors'),
  }
}

async function run([source, mountPoint]: string[], values: OptionValues): Promise<number> {
  const session = await mountMirror(source, mountPoint, mirrorOptions(values))
  const { unavailable } = session.stats().passthrough
  const why = (values.workers ?? '1') === '1' ? unavailable : 'several threads serve (--workers)'
  const data = unavailable === undefined ? 'passthrough on' : `passthrough off: ${why}`
  return await untilClosed(
    session,
    values,
    `${source} is mounted at ${session.mountPoint}, ${data}; ` +
      `unmount with Ctrl-C or \`${unmountCommand(mountPoint)}\``,
  )
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
  serves: true,
  run,
}
