// The micro-benchmark: what the library itself costs per request (decode, dispatch, encode), by operation, without a kernel.
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { serve } from 'devfuse'
import type { OperationName } from 'devfuse'
import { decodeReply, encodeRequest } from 'devfuse/protocol'
import { checkRuntime, measure } from './micro/measure.js'
import type { Figure, Plan } from './micro/measure.js'
import { ReplayTransport } from './micro/replay.js'
import { operationSamples, preparedFilesystem } from './micro/samples.js'
import type { Sample } from './micro/samples.js'
import { machine } from './machine.js'

const usage = `usage: npm run bench:micro -- [options]
  --only NAME,...  these operations alone
  --quick          a few requests of each: shows that it works, not how fast
  --json FILE      write every figure there`

const FULL: Plan = { rounds: 60, requests: 4_000 }
const QUICK: Plan = { rounds: 3, requests: 200 }
const WARM_UP = 4
const WARM_UP_REQUESTS = 5_000

interface Row extends Figure {
  operation: OperationName
  variant: string | undefined
}

/** Everything that a session needs of INIT. */
const INIT = { major: 7, minor: 45, maxReadahead: 131072, flags: 0xffff_ffff, flags2: 0x7ff }

function messageOf(operation: OperationName, fields: Sample['fields']): Buffer {
  return encodeRequest(operation, { unique: 2, uid: 1000, gid: 1000, pid: 4321, ...fields })
}

/** Throws where the answer is not what the sample says: a fast wrong answer is worth nothing. */
function check(transport: ReplayTransport, operation: OperationName, { error = 0 }: Sample): void {
  const answer = transport.answer()
  const got = answer === undefined ? 0 : decodeReply(operation, answer).error
  if (got !== error) throw new Error(`${operation} was answered ${got}, not ${error}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean' },
      json: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    console.log(usage)
    return
  }
  checkRuntime()
  const plan = values.quick === true ? QUICK : FULL
  const only = values.only?.split(',')
  for (const name of only ?? [])
    if (!(name in operationSamples)) throw new Error(`--only ${name}: no such operation`)

  const fd = openSync(process.execPath, 'r')
  const transport = new ReplayTransport()
  const starting = serve(preparedFilesystem(fd), transport, {
    handleSignals: false,
    onWarning: ({ message }) => {
      throw new Error(message)
    },
  })
  transport.load(encodeRequest('init', INIT))
  transport.answer()
  const session = await starting

  const all = Object.entries(operationSamples).flatMap(([name, samples]) =>
    Array.isArray(samples)
      ? samples.map((sample) => ({
          operation: name as OperationName,
          sample,
          message: messageOf(name as OperationName, sample.fields),
        }))
      : [],
  )
  for (const { operation, sample, message } of all) {
    transport.load(message)
    check(transport, operation, sample)
  }
  // All of them in turn, so that no place in the code has seen only one kind of request.
  for (let turn = 0; turn < WARM_UP; turn++) {
    for (const { message } of all) {
      transport.load(message)
      transport.play(plan === QUICK ? plan.requests : WARM_UP_REQUESTS, transport.receiver)
    }
  }
  const rows = all
    .filter(({ operation }) => only === undefined || only.includes(operation))
    .map(({ operation, sample, message }): Row => {
      transport.load(message)
      return { operation, variant: sample.variant, ...measure(transport, plan) }
    })
  await session.unmount()
  closeSync(fd)

  const about = await machine('/')
  console.log(`${about.model}, ${about.arch}, Linux ${about.kernel}, Node ${about.node}`)
  console.log(table(rows))
  for (const [name, samples] of Object.entries(operationSamples))
    if (!Array.isArray(samples)) console.log(`${name}: not measured, ${samples.unmeasured}`)
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ machine: about, plan, rows }, null, 2)}\n`)
}

function table(rows: Row[]): string {
  const head = ['operation', 'ns', 'least', 'bytes', 'outside']
  const body = rows.map(({ operation, variant, ns, leastNs, bytes, externalBytes }) => [
    variant === undefined ? operation : `${operation} (${variant})`,
    ...[ns, leastNs, bytes, externalBytes].map((value) => String(Math.round(value))),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column].length)))
  const line = (row: string[]): string =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  ')
  return [head, ...body].map(line).join('\n')
}

await main()
