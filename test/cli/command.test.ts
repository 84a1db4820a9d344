// Checks the command line: help, versions, exit statuses, and that every mistake is named with its fix.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  UsageError,
  helpOf,
  nearest,
  parseArguments,
  quoted,
  runCommand,
  unmountCommand,
} from '#dist/cli/command.js'
import { OptionError } from 'devfuse'
import type { Command } from '#dist/cli/command.js'
import { attempt } from '../programs/command.js'
import { devfuse } from '../programs/mounted.js'

const example: Command = {
  name: 'example',
  positionals: ['SRC', 'MNT'],
  summary: 'An example.',
  description: 'Does nothing.',
  options: {
    'read-only': { type: 'boolean', short: 'r', help: 'Changes nothing.' },
    passthrough: { type: 'string', values: ['auto', 'on', 'off'], help: 'Who serves the data.' },
    cache: { type: 'string', placeholder: 'SECONDS', help: 'How long.' },
  },
  run: async () => 0,
}

const mistake = (...args: string[]): string => {
  try {
    parseArguments(example, args)
  } catch (error) {
    assert.ok(error instanceof UsageError)
    return error.message
  }
  return 'accepted'
}

describe('runCommand', () => {
  const refusing = (message: string): Command => ({
    ...example,
    run: async () => {
      throw new OptionError(message)
    },
  })

  it('calls a value that the library refuses by the name of the option on the command line', async () => {
    const command = refusing('option `maxWrite` must be an integer from 4096, not 1')
    await assert.rejects(runCommand(command, [], { 'max-write': '1' }), (error: Error) => {
      assert.ok(error instanceof UsageError)
      assert.equal(error.message, '--max-write must be an integer from 4096, not 1')
      return true
    })
  })

  it('leaves alone what is no mistake of the command line', async () => {
    for (const message of ['option `maxWrite` must be 1', "option `cache: 'strong'` is impossible here"])
      await assert.rejects(runCommand(refusing(message), [], { cache: 'strong' }), OptionError)
  })
})

describe('quoted', () => {
  it('leaves plain words, and keeps every other one a single word of the shell', async () => {
    assert.equal(quoted('/mnt/a-b_c.d'), '/mnt/a-b_c.d')
    const words = ['My Proj Ü', "it's", 'a\nb', '$HOME', '', '-x', '~']
    const { stdout } = await attempt(['sh', '-c', `printf '%s|' ${words.map(quoted).join(' ')}`], {
      timeout: 10_000,
    })
    assert.equal(stdout, words.map((word) => `${word}|`).join(''))
    assert.equal(unmountCommand('-x'), 'devfuse unmount -- -x')
  })
})

describe('parseArguments', () => {
  it('takes options before, between and after the arguments', () => {
    const { positionals, options } = parseArguments(example, [
      '-r',
      'a',
      '--passthrough=on',
      'b',
      '--cache',
      '5',
    ])
    assert.deepEqual(positionals, ['a', 'b'])
    assert.deepEqual(options, { 'read-only': true, passthrough: 'on', cache: '5' })
  })

  it('takes everything after -- as arguments', () => {
    assert.deepEqual(parseArguments(example, ['--', '--odd', '-r']).positionals, ['--odd', '-r'])
  })

  it('lets --help stand without the arguments', () => {
    assert.equal(parseArguments(example, ['--help']).help, true)
    assert.equal(parseArguments(example, ['-h']).help, true)
  })

  it('takes no empty path, which would be the working directory', () => {
    assert.equal(mistake('a', ''), 'MNT is empty; usage: devfuse example SRC MNT')
  })

  it('names unknown options and the one that was meant', () => {
    assert.equal(mistake('a', 'b', '--passthru'), 'unknown option --passthru; did you mean --passthrough?')
    assert.match(mistake('a', 'b', '--wings'), /unknown option --wings; `devfuse example --help` lists/)
    assert.match(mistake('a', 'b', '-z'), /unknown option -z;/)
    assert.match(mistake('a', 'b', '--constructor'), /unknown option --constructor/)
  })

  it('names wrong, missing and superfluous values', () => {
    assert.match(mistake('a', 'b', '--passthrough=yes'), /cannot be "yes"; it is one of auto, on, off/)
    assert.match(mistake('a', 'b', '--cache'), /--cache needs a value: SECONDS/)
    assert.match(mistake('a', 'b', '--read-only=no'), /--read-only takes no value/)
  })

  it('names missing and superfluous arguments', () => {
    assert.equal(mistake(), 'SRC and MNT is missing; usage: devfuse example SRC MNT')
    assert.equal(mistake('a'), 'MNT is missing; usage: devfuse example SRC MNT')
    assert.equal(mistake('a', 'b', 'c d'), 'unexpected argument "c d"; usage: devfuse example SRC MNT')
  })
})

describe('nearest', () => {
  it('finds prefixes and typing errors, but guesses nothing far off', () => {
    const known = ['mirror', 'unmount', 'doctor', 'stats']
    assert.equal(nearest('umount', known), 'unmount')
    assert.equal(nearest('stat', known), 'stats')
    assert.equal(nearest('mir', known), 'mirror')
    assert.equal(nearest('xyzzy', known), undefined)
  })
})

describe('helpOf', () => {
  it('shows every option with its value', () => {
    const help = helpOf(example)
    assert.match(help, /Usage: devfuse example SRC MNT \[options\]/)
    assert.match(help, /-r, --read-only +Changes nothing\./)
    assert.match(help, /--passthrough auto\|on\|off +Who serves/)
    assert.match(help, /--cache SECONDS +How long\./)
  })
})

describe('devfuse', () => {
  const run = (...args: string[]) => attempt([...devfuse, ...args], { timeout: 20_000 })

  it('shows its version and its help', async () => {
    const manifest = fileURLToPath(import.meta.resolve('devfuse/package.json'))
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    assert.deepEqual((await run('--version')).stdout, `${version}\n`)
    const help = await run('--help')
    assert.equal(help.status, 0)
    for (const word of ['mirror', 'unmount', 'doctor', 'stats', 'Exit status'])
      assert.match(help.stdout, RegExp(word))
  })

  it('shows the help of every subcommand', async () => {
    for (const name of ['mirror', 'unmount', 'doctor', 'stats']) {
      const { status, stdout } = await run(name, '--help')
      assert.equal(status, 0)
      assert.match(stdout, RegExp(`Usage: devfuse ${name}`))
    }
  })

  it('ends with status 2 when it does not understand', async () => {
    assert.equal((await run()).status, 2)
    const unknown = await run('umount', '/mnt')
    assert.equal(unknown.status, 2)
    assert.equal(unknown.stderr, 'devfuse: unknown command umount; did you mean unmount?\n')
    const option = await run('doctor', '--jsn')
    assert.equal(option.status, 2)
    assert.equal(option.stderr, 'devfuse: unknown option --jsn; did you mean --json?\n')
    assert.equal((await run('unmount')).status, 2)
    assert.equal((await run('--frobnicate')).status, 2)
  })
})
