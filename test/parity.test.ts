// docs/parity.md and docs/capabilities.md against the build: every symbol that it names is exported or a member of what it says, every file exists, and
// no row is left empty.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { initFlags, notifications, operations } from 'devfuse/protocol'
import { wishes } from '#dist/session/init.js'
import { resolveOptions } from '#dist/session/options.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
const text = readFileSync(join(root, 'docs/parity.md'), 'utf8')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string>
}
const entries = Object.values(exports).flatMap((file) => /^\.\/dist\/(.*)\.js$/.exec(file)?.slice(1) ?? [])

/** Columns that speak of devfuse: what it has, and what proves it. */
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:what +\||-+ )/.test(line))
  .map((line) => line.slice(2, -2).split(' | '))

function declarations(file: string): string {
  return readFileSync(join(root, 'dist', `${file}.d.ts`), 'utf8')
}

/** Everything declared in the modules seen, as a public type may extend one that is not. */
const declaredAnywhere = new Map<string, string>()

/** Names that a module exports, as its .d.ts text has them, with the text that declares each. */
function exportsOf(file: string, found = new Map<string, string>()): Map<string, string> {
  const declared = declarations(file)
  for (const [block, name] of declared.matchAll(
    /^export (?:declare )?(?:abstract )?(?:class|interface|type|const|function) (\w+).*?(?=^export |(?![\s\S]))/gms,
  )) {
    found.set(name, `${found.get(name) ?? ''}${block}`)
    declaredAnywhere.set(name, `${declaredAnywhere.get(name) ?? ''}${block}`)
  }
  for (const [, , names, from] of declared.matchAll(
    /^export (type )?(\*|\{[^}]*\}) from '(\.[^']+)\.js';$/gm,
  )) {
    const target = join(dirname(file), from)
    const theirs = exportsOf(target)
    const wanted = names === '*' ? [...theirs.keys()] : names.match(/\w+/g)
    for (const name of wanted ?? []) found.set(name, `${found.get(name) ?? ''}${theirs.get(name) ?? ''}`)
  }
  return found
}

const exported = new Map<string, string>()
for (const entry of entries) {
  for (const [name, block] of exportsOf(entry)) exported.set(name, `${exported.get(name) ?? ''}${block}`)
}

/** Text of a type and of those that it extends. */
function textOf(name: string): string {
  const own = exported.get(name) ?? declaredAnywhere.get(name) ?? ''
  const above = /\b(?:extends|= )\s*([^{]*)\{/.exec(own)?.[1].match(/\w+/g) ?? []
  return (
    own +
    above
      .filter((other) => other !== name && declaredAnywhere.has(other))
      .map(textOf)
      .join('')
  )
}

function isKnown(symbol: string): boolean {
  const [name, member] = symbol.split('.')
  if (!exported.has(name)) return false
  if (member === undefined) return true
  return new RegExp(`^\\s+(?:(?:readonly|static|get|declare) )*${member}[?<(:]`, 'm').test(textOf(name))
}

/** Words in code spelling that belong to JavaScript, the kernel or a program. */
const NOT_OURS = new Set(['this', 'Uint8Array', 'detached', 'spawn', 'open', 'drop_privileges'])

describe('docs/parity.md', () => {
  it('has no empty cell, and a reason or a proof in each row', () => {
    for (const row of rows) {
      assert.equal(row.length, 7, row.join(' | '))
      for (const cell of row) assert.notEqual(cell.trim(), '', row.join(' | '))
      const [, , , , , ours, proof] = row.map((cell) => cell.trim())
      const missing = /^none(?: yet)?: \S/.test(ours)
      assert.ok(missing || proof !== '–', `no proof: ${row[0]}`)
      assert.ok(missing || !/^(?:–|none:?)$/.test(ours), `no reason: ${row[0]}`)
    }
  })

  it('counts its rows and its gaps', () => {
    const gaps = rows.filter((row) => /^none(?: yet)?:/.test(row[5].trim()))
    const counted = /^(\d+) rows, (\d+) of them without a counterpart/m.exec(text)
    assert.deepEqual(counted?.slice(1).map(Number), [rows.length, gaps.length])
  })

  it('names symbols of devfuse that exist', () => {
    const wrong = rows.flatMap((row) =>
      [...row[5].matchAll(/`([^`]+)`/g)]
        .map(([, symbol]) => symbol)
        .filter((symbol) => /^[A-Z]\w*\.\w+$|^\w+$/.test(symbol))
        .filter((symbol) => !NOT_OURS.has(symbol) && !isKnown(symbol))
        .map((symbol) => `${symbol} (${row[0].trim()})`),
    )
    assert.deepEqual(wrong, [])
  })

  it('names files that exist', () => {
    const files = new Set(text.match(/\b(?:test|examples)\/[\w./-]+\.ts\b/g))
    assert.ok(files.size > 30)
    assert.deepEqual(
      [...files].filter((file) => !existsSync(join(root, file))),
      [],
    )
  })

  it('leaves out no operation, notification or INIT flag of the table', () => {
    const first = rows.map((row) => row[0])
    for (const { name } of initFlags)
      assert.ok(
        first.some((cell) => cell.trim() === name),
        name,
      )
    const named = new Set(rows.flatMap((row) => row[5].match(/\w+/g) ?? []))
    for (const { handler } of operations.filter((row) => row !== undefined)) {
      assert.ok(handler === null || named.has(handler), String(handler))
    }
    for (const name of Object.keys(notifications)) {
      assert.ok(named.has(name === 'poll' ? 'pollWakeup' : name), name)
    }
  })
})

describe('docs/capabilities.md', () => {
  const flags = readFileSync(join(root, 'docs/capabilities.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| FUSE_'))
    .map((line) => line.slice(2, -2).split(' | '))
    .map(([name, bit, since, , how]) => ({ name: name.trim(), bit: Number(bit), since: since.trim(), how }))

  it('has a row for each INIT flag, with its bit and version', () => {
    assert.deepEqual(
      flags.map(({ name, bit, since }) => ({ name, bit, since })),
      initFlags.map(({ name, bit, since }) => ({ name, bit, since: `7.${since}` })),
    )
  })

  it('tells the defaults, what methods call for, and what is refused', () => {
    const starting = (word: string) => flags.filter(({ how }) => how.startsWith(word)).map(({ name }) => name)
    const wished = (has: boolean) => [...wishes(resolveOptions({}), () => has)].toSorted()
    assert.deepEqual(wished(false), starting('default').toSorted())
    assert.deepEqual(
      wished(true),
      [...starting('default'), ...starting('with the method'), ...starting('with `readdir')].toSorted(),
    )
    for (const { name } of initFlags) {
      const options = resolveOptions({ want: [name], defaultPermissions: true })
      const wish = () => wishes(options, () => true)
      if (starting('refused').includes(name)) assert.throws(wish, /cannot be had/)
      else assert.doesNotThrow(wish)
    }
  })
})
