// devfuse doctor: checks every requirement of a mount, says what was seen and what to do.
import { styleText } from 'node:util'
import { EXIT_FAILURE, EXIT_OK } from './command.js'
import type { Command } from './command.js'
import { judge } from './doctor/checks.js'
import type { Check } from './doctor/checks.js'
import { gatherFacts } from './doctor/facts.js'
import { probe } from './doctor/probe.js'

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const

/** One line per check: status, name, what was seen, and the fix where there is one. */
export function renderChecks(checks: Check[], colour: boolean): string {
  const width = Math.max(...checks.map(({ id }) => id.length))
  return checks
    .map(({ id, status, seen, fix }) => {
      const word = status.padEnd(4)
      const shown = colour ? styleText(COLOURS[status], word) : word
      const advice = fix === undefined ? '' : ` -> ${fix}`
      return `${shown}  ${id.padEnd(width)}  ${seen}${advice}\n`
    })
    .join('')
}

async function run(_: string[], { json }: { json?: unknown }): Promise<number> {
  const facts = gatherFacts()
  const result =
    facts.platform === 'linux' ? await probe() : { addon: { ok: false as const, said: 'not Linux' } }
  const checks = judge(facts, result)
  const ok = checks.every(({ status }) => status !== 'fail')
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ ok, checks, probe: result }, null, 2)}\n`)
  } else {
    const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined
    const verdict = ok ? 'A mount works here.' : 'A mount does not work here: repair what says fail.'
    process.stdout.write(`${renderChecks(checks, colour)}\n${verdict}\n`)
  }
  return ok ? EXIT_OK : EXIT_FAILURE
}

export const doctor: Command = {
  name: 'doctor',
  positionals: [],
  summary: 'Check whether this machine can mount, and say what is missing.',
  description: `
One line per requirement: ok, warn (works, but slower or with less) or fail, what was seen, and the fix. To be sure, it
mounts a throw-away filesystem on a new folder in the temporary directory for a moment. Exit status 0 when a mount works.`,
  options: { json: { type: 'boolean', help: 'Print the checks as one JSON object.' } },
  run,
}
