#!/usr/bin/env node
// The devfuse command: picks the subcommand, prints what went wrong, sets the exit status.
// Exit status: 0 done, 1 failed, 2 the command line was not understood.
import { readFileSync } from 'node:fs'
import { CommandError, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, UsageError } from './command.js'
import { helpOf, nearest, parseArguments, runCommand } from './command.js'
import type { Command } from './command.js'
import { packageRoot } from '../package-root.js'

// Loaded on demand: `devfuse doctor` must run where the rest of the library cannot.
const commands: Record<string, () => Promise<Command>> = {
  init: async () => (await import('./init.js')).init,
  mirror: async () => (await import('./mirror.js')).mirror,
  memory: async () => (await import('./memory.js')).memory,
  unmount: async () => (await import('./unmount.js')).unmount,
  doctor: async () => (await import('./doctor.js')).doctor,
  stats: async () => (await import('./stats.js')).stats,
}

const SUMMARY = `devfuse: Linux filesystems in TypeScript

Usage: devfuse COMMAND [arguments]

Commands:
  init DIR           Make a project with a small filesystem, its tests and a command that mounts it.
  mirror SRC MNT     Mount a directory tree a second time, its file data served by the kernel (passthrough).
  memory MNT         Mount an empty filesystem that is kept in memory.
  unmount MNT        Unmount any FUSE mount, also one that is busy or whose server is dead.
  doctor             Check whether this machine can mount, and say what is missing.
  stats MNT          Show what the server of a mount has done: requests, errors, latencies.

  devfuse COMMAND --help    Show the options of one command.
  devfuse --version         Show the version.

Exit status: 0 done, 1 failed, 2 the command line was not understood.
`

function version(): string {
  const text = readFileSync(new URL('package.json', packageRoot()), 'utf8')
  const found: unknown = JSON.parse(text)
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown'
}

function fail(message: string, status: number): number {
  process.stderr.write(`devfuse: ${message}\n`)
  return status
}

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    process.stderr.write(SUMMARY)
    return EXIT_USAGE
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(SUMMARY)
    return EXIT_OK
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${version()}\n`)
    return EXIT_OK
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) {
    const kind = name.startsWith('-') ? 'option' : 'command'
    const meant = nearest(name, Object.keys(commands))
    const hint = meant === undefined ? '`devfuse --help` lists the commands' : `did you mean ${meant}?`
    return fail(`unknown ${kind} ${name}; ${hint}`, EXIT_USAGE)
  }
  const command = await load()
  const { help, positionals, options } = parseArguments(command, rest)
  if (help) {
    process.stdout.write(helpOf(command))
    return EXIT_OK
  }
  serves = command.serves === true
  return await runCommand(command, positionals, options)
}

let serves = false

// Whoever uses a mount must not lose it because a log is full, or nobody reads it any more.
process.stderr.on('error', () => undefined)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (serves) return
  // Reading half of the output (`| head`) is no failure of ours.
  process.exit(error.code === 'EPIPE' ? EXIT_OK : fail(`cannot print: ${error.message}`, EXIT_FAILURE))
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) process.exitCode = fail(error.message, EXIT_USAGE)
  // Errors of the library say what was attempted and what to do; anything else is a bug and shows its stack.
  else if (error instanceof CommandError || (error instanceof Error && 'code' in error)) {
    process.exitCode = fail(error.message, EXIT_FAILURE)
  } else process.exitCode = fail(error instanceof Error ? String(error.stack) : String(error), EXIT_FAILURE)
}
