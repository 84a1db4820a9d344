// devfuse memory: mounts an empty filesystem in memory and serves it until it is unmounted.
import type { MemoryOptions } from '../filesystems/memory/index.js'
import { mountMemory } from '../filesystems/memory/index.js'
import { UsageError, unmountCommand } from './command.js'
import type { Command, OptionSpec, OptionValues } from './command.js'
import { mountOptions, mountSpecs, untilClosed } from './foreground.js'

const options: Record<string, OptionSpec> = {
  size: {
    type: 'string',
    short: 's',
    placeholder: 'BYTES',
    help: 'Most bytes of data, attributes and symlink targets, with K, M, G or T for more, or % of the memory. Default: 50%.',
  },
  inodes: {
    type: 'string',
    placeholder: 'COUNT',
    help: 'Most files, directories and further hard links. Default: size / 4096, or what half of the heap holds.',
  },
  mode: {
    type: 'string',
    placeholder: 'OCTAL',
    help: 'Permission bits of the root. Default: 1777 for root, else 755.',
  },
  uid: { type: 'string', placeholder: 'UID', help: 'Owner of the root. Default: who mounts.' },
  gid: { type: 'string', placeholder: 'GID', help: 'Group of the root. Default: that of who mounts.' },
  'allow-other': { type: 'boolean', help: 'Other users may use the mount, too. The default for root.' },
  'writeback-cache': {
    type: 'boolean',
    help: 'The kernel collects writes: faster for small ones, and a full filesystem shows late.',
  },
  fsname: {
    type: 'string',
    placeholder: 'NAME',
    help: 'The source that mount(8) and df(1) show. Default: memory.',
  },
  ...mountSpecs,
}

const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }
const PERCENT = 100

/** `1G`, `512M`, `25%` of `memory` bytes, or plain bytes. */
export function sizeOf(text: string, memory: number): number {
  const found = /^(\d+)(?:([KMGT]?)(?:i?B)?|(%))$/i.exec(text)
  if (found === null) {
    throw new UsageError(
      `--size needs a number of bytes such as 1G, 512M or 25%, not ${JSON.stringify(text)}`,
    )
  }
  const [, digits, unit = '', percent] = found
  if (percent !== undefined) return Math.floor((memory * Number(digits)) / PERCENT)
  return Number(digits) * UNITS[unit.toUpperCase()]
}

function numberOf(values: OptionValues, name: string, radix = 10): number | undefined {
  const value = values[name]
  if (value === undefined) return undefined
  const form = radix === 8 ? /^[0-7]+$/ : /^\d+$/
  if (typeof value === 'string' && form.test(value)) return Number.parseInt(value, radix)
  throw new UsageError(
    `--${name} needs ${radix === 8 ? 'an octal' : 'a whole'} number, not ${JSON.stringify(value)}`,
  )
}

/** The options of the library that the ones of the command line stand for. */
export function memoryOptions(values: OptionValues, memory: number): MemoryOptions {
  const { size } = values
  return {
    size: typeof size === 'string' ? sizeOf(size, memory) : undefined,
    inodes: numberOf(values, 'inodes'),
    mode: numberOf(values, 'mode', 8),
    uid: numberOf(values, 'uid'),
    gid: numberOf(values, 'gid'),
    ...(values['writeback-cache'] === true && { writebackCache: true }),
    ...mountOptions(values),
  }
}

async function run([mountPoint]: string[], values: OptionValues): Promise<number> {
  const { totalmem } = await import('node:os')
  const session = await mountMemory(mountPoint, memoryOptions(values, totalmem()))
  return await untilClosed(
    session,
    values,
    `an empty filesystem in memory is mounted at ${session.mountPoint}; ` +
      `unmount with Ctrl-C or \`${unmountCommand(mountPoint)}\`, and what it holds is gone`,
  )
}

export const memory: Command = {
  name: 'memory',
  positionals: ['MNT'],
  summary: 'Mount an empty filesystem in memory at MNT.',
  description: `
Everything that Linux expects of a filesystem, kept in the memory of this process until it ends: links, special files,
holes, extended attributes, ACLs. Stays in the foreground; ends with status 0 after Ctrl-C, SIGTERM or an unmount from
outside.`,
  options,
  serves: true,
  run,
}
