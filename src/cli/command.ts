// Owns the shape of a subcommand and the reading of its arguments; every mistake of the user is named with its fix.
import { parseArgs } from 'node:util'

/** Exit statuses of the command. */
export const EXIT_OK = 0
export const EXIT_FAILURE = 1
export const EXIT_USAGE = 2

/** One option as the user writes it, `--name`. */
export interface OptionSpec {
  type: 'boolean' | 'string'
  short?: string
  /** What stands for the value in the help; strings only. */
  placeholder?: string
  /** The values that are possible; any when absent. */
  values?: readonly string[]
  help: string
}

/** Option values by name: a string, true, or undefined when not given. */
export type OptionValues = Record<string, string | boolean | undefined>

export interface Command {
  name: string
  /** The positional arguments, in capitals; all are required. */
  positionals: readonly string[]
  summary: string
  /** What the help says below the summary. */
  description: string
  options: Record<string, OptionSpec>
  /** It serves a mount, which must not end because nobody reads what the command prints. */
  serves?: true
  /** Does the work; resolves to the exit status. */
  run(positionals: string[], options: OptionValues): Promise<number>
}

/** The command line cannot be understood: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What the command calls an option of the library, by the library's name, where it is not the same in kebab case. */
const CALLED: Record<string, string> = { fsName: 'fsname', maxPathDescriptors: 'path-descriptors' }

/**
 * Runs a command. A value that only the library can judge is a mistake in the command line all the same: its OptionError becomes a
 * UsageError with the name of the command's own option.
 */
export async function runCommand(
  command: Command,
  positionals: string[],
  values: OptionValues,
): Promise<number> {
  try {
    return await command.run(positionals, values)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const [, key, rest] =
      /^option `(\w+)` (must .*)$/s.exec(code === 'ERR_DEVFUSE_OPTION' ? message : '') ?? []
    const name = CALLED[key] ?? key?.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)
    if (key === undefined || values[name] === undefined) throw error
    throw new UsageError(`--${name} ${rest}`, { cause: error })
  }
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/** The command that unmounts what is at `mountPoint`. */
export function unmountCommand(mountPoint: string): string {
  return `devfuse unmount ${mountPoint.startsWith('-') ? '-- ' : ''}${quoted(mountPoint)}`
}

/** What was attempted failed: what was said about it and what to do are in the message. Exit status 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

const HELP: OptionSpec = { type: 'boolean', short: 'h', help: 'Show this help.' }

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}

/** The one of `known` that `word` is probably meant to be. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const close = known
    .map((name) => ({ name, off: name.startsWith(word) && word.length > 1 ? 0 : distance(word, name) }))
    .filter(({ name, off }) => off <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.off - b.off)
  return close[0]?.name
}

/** Takes the arguments after the subcommand apart; throws a UsageError that names the mistake and the fix. */
export function parseArguments(
  command: Command,
  args: string[],
): { help: boolean; positionals: string[]; options: OptionValues } {
  const specs: Record<string, OptionSpec> = { ...command.options, help: HELP }
  const seeHelp = `\`devfuse ${command.name} --help\` lists the options`
  const { tokens, values, positionals } = parseArgs({
    args,
    options: Object.fromEntries(
      Object.entries(specs).map(([name, { type, short }]) => [
        name,
        short === undefined ? { type } : { type, short },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined
    if (spec === undefined) {
      const meant = nearest(token.name, Object.keys(specs))
      const hint = meant === undefined ? seeHelp : `did you mean --${meant}?`
      throw new UsageError(`unknown option ${token.rawName}; ${hint}`)
    }
    const value = token.value
    const choices = spec.values?.join(', ') ?? spec.placeholder
    if (spec.type === 'boolean' && value !== undefined) {
      throw new UsageError(
        `--${token.name} takes no value, but got ${JSON.stringify(value)}; leave the value out`,
      )
    }
    if (spec.type === 'string' && value === undefined) {
      throw new UsageError(`--${token.name} needs a value: ${choices}`)
    }
    if (spec.values !== undefined && !spec.values.includes(value ?? '')) {
      throw new UsageError(`--${token.name} cannot be ${JSON.stringify(value)}; it is one of ${choices}`)
    }
  }
  const options: OptionValues = {}
  for (const [name, value] of Object.entries(values)) if (!Array.isArray(value)) options[name] = value
  if (options.help === true) return { help: true, positionals, options }
  const wanted = command.positionals
  if (positionals.length < wanted.length) {
    const missing = wanted.slice(positionals.length).join(' and ')
    throw new UsageError(`${missing} is missing; usage: devfuse ${command.name} ${wanted.join(' ')}`)
  }
  if (positionals.length > wanted.length) {
    const extra = JSON.stringify(positionals[wanted.length])
    throw new UsageError(`unexpected argument ${extra}; usage: devfuse ${command.name} ${wanted.join(' ')}`)
  }
  const empty = positionals.indexOf('')
  if (empty >= 0)
    throw new UsageError(`${wanted[empty]} is empty; usage: devfuse ${command.name} ${wanted.join(' ')}`)
  return { help: false, positionals, options }
}

/** The help text of one subcommand. */
export function helpOf(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP }).map(([name, spec]) => {
    const short = spec.short === undefined ? '    ' : `-${spec.short}, `
    const value = spec.type === 'string' ? ` ${spec.values?.join('|') ?? spec.placeholder}` : ''
    return [`${short}--${name}${value}`, spec.help]
  })
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  const usage = ['devfuse', command.name, ...command.positionals, '[options]'].join(' ')
  const lines = rows.map(([left, help]) => `  ${left.padEnd(width)}${help}`)
  return `${command.summary}\n\nUsage: ${usage}\n\n${command.description.trim()}\n\nOptions:\n${lines.join('\n')}\n`
}
