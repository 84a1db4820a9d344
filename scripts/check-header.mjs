// Compares a fuse_kernel.h or linux/fuse.h with the built protocol table: every struct with its size and the offsets of its
// members, every opcode, notification code, flag and constant with its value. Needs `cc`.
//
//   node scripts/check-header.mjs PATH
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import * as protocol from '../build/src/protocol/index.js'
import { PROTOCOL_MINOR } from '../build/src/session/init.js'

/** What is in the header, but is no fact of the protocol that a table could hold. */
const EXCLUDED = {
  FUSE_REMOVEMAPPING_MAX_ENTRY: 'follows from PAGE_SIZE, which is no part of the header (virtiofs)',
  FUSE_NOTIFY_CODE_MAX: 'one more than the newest code of that version, and gone since',
  FUSE_UNIQUE_RESEND: 'bit 63 of `unique`, which the decoder turns into `request.resent`',
}

const RESERVED = /^(?:padding|unused|reserved|dummy|spare|__)/

const path = process.argv[2]
if (path === undefined || process.argv.length > 3) {
  console.error('usage: node scripts/check-header.mjs PATH')
  process.exit(2)
}

const text = readFileSync(path, 'utf8')
  .replaceAll('\\\n', ' ')
  .replaceAll(/\/\*.*?\*\//gs, ' ')

/** Names of the members of a struct; a member without a size has no place to compare. */
const membersOf = (body) => [...body.matchAll(/(\w+)\s*(?:\[\w+\])?\s*;/g)].map(([, name]) => name)
const structs = [...text.matchAll(/^struct\s+(\w+)\s*\{(.*?)^\}/gms)].map(([, name, body]) => ({
  name,
  members: membersOf(body),
}))
const enums = [...text.matchAll(/^enum\s+(\w+)\s*\{(.*?)^\}/gms)].flatMap(([, group, body]) =>
  [...body.matchAll(/(\w+)\s*(?:=[^,}]*)?(?:,|$)/g)].map(([, name]) => ({ group, name })),
)
const defines = [...text.matchAll(/^#define\s+(\w+)([^\S\n]|\()(.*)$/gm)]
const macros = defines.filter(([, , next]) => next === '(').map(([, name]) => name)
const values = defines
  .filter(([, , next, value]) => next !== '(' && value.trim() !== '')
  .map(([, name]) => ({ group: 'define', name }))

const upper = (name) => name.replaceAll(/[A-Z]|64/g, (letter) => `_${letter}`).toUpperCase()

const opcodes = Object.keys(protocol.operationsByName).length
const notifyCodes = Object.keys(protocol.notifications).length
const codes = opcodes + notifyCodes

/**
 * Our number for a name of the header.
 *
 * @type {Map<string, number>}
 */
const ours = new Map(
  Object.entries(protocol).flatMap(([name, value]) =>
    /^[A-Z]/.test(name) && typeof value === 'number' ? [[name, value]] : [],
  ),
)
for (const { opcode, name } of Object.values(protocol.operationsByName)) {
  ours.set(name === 'cuseInit' ? 'CUSE_INIT' : `FUSE_${upper(name)}`, opcode)
}
for (const [name, { code }] of Object.entries(protocol.notifications))
  ours.set(`FUSE_NOTIFY_${upper(name)}`, code)
ours.set('FUSE_KERNEL_MINOR_VERSION', PROTOCOL_MINOR)
const flagsAndConstants =
  [...ours.keys()].filter((name) => /^(?:FUSE|CUSE|FATTR|FOPEN)_/.test(name)).length - codes
// Where the name of a directory record begins: behind the struct, which our table has without it.
ours.set('FUSE_NAME_OFFSET', protocol.sizes.fuse_dirent)
ours.set('FUSE_NAME_OFFSET_DIRENTPLUS', protocol.sizes.fuse_direntplus)

const problems = []
const counts = {}
const count = (group, has) => {
  counts[group] ??= { header: 0, ours: 0, excluded: 0 }
  counts[group].header++
  counts[group][has]++
}

const header = measure()
for (const { name, members } of structs) {
  const size = protocol.sizes[name]
  count('struct', size === undefined ? 'missing' : 'ours')
  if (size === undefined) problems.push(`struct ${name}: not in our table`)
  else if (size !== header.get(name))
    problems.push(`struct ${name}: ${header.get(name)} bytes, ours has ${size}`)
  for (const member of members) {
    // What one version reserves, the next one uses: only the size of the whole says something.
    const offset = RESERVED.test(member) ? undefined : protocol.offsets[name]?.[member]
    count('member', RESERVED.test(member) ? 'excluded' : offset === undefined ? 'missing' : 'ours')
    if (RESERVED.test(member) || size === undefined) continue
    const real = header.get(`${name}.${member}`)
    if (offset === undefined) problems.push(`struct ${name}, ${member}: not in our table`)
    else if (offset !== real) problems.push(`struct ${name}, ${member}: at ${real}, ours is at ${offset}`)
  }
}
for (const { group, name } of [...enums, ...values]) {
  if (Object.hasOwn(EXCLUDED, name)) {
    count(group, 'excluded')
    continue
  }
  const value = ours.get(name)
  count(group, value === undefined ? 'missing' : 'ours')
  const real = header.get(name)
  if (value === undefined) problems.push(`${name} (${group}): not in our table`)
  else if (name === 'FUSE_KERNEL_MINOR_VERSION') {
    if (real > value) problems.push(`${name}: the header is 7.${real}, our table 7.${value}`)
  } else if (value !== real) problems.push(`${name} (${group}): ${real}, ours is ${value}`)
}

console.log(`${path} (FUSE 7.${header.get('FUSE_KERNEL_MINOR_VERSION')}), our table 7.${PROTOCOL_MINOR}`)
for (const [group, { header: there, ours: here, excluded }] of Object.entries(counts)) {
  console.log(`${group}: ${there} in the header, ${here} of them in our table, ${excluded} excluded`)
}
const named = new Set([...structs, ...enums, ...values].map(({ name }) => name))
const beyond = [...Object.keys(protocol.sizes), ...ours.keys()].filter(
  (name) => /^(?:fuse_|cuse_|FUSE_|CUSE_|FATTR_|FOPEN_)/.test(name) && !named.has(name),
)
console.log(
  `our table: ${Object.keys(protocol.sizes).length} structs, ${opcodes} opcodes, ${notifyCodes} notification codes, ` +
    `${flagsAndConstants} flags and constants`,
)
console.log(`in our table, not in this header: ${beyond.join(', ') || 'nothing'}`)
for (const { name } of [...enums, ...values])
  if (EXCLUDED[name]) console.log(`excluded: ${name}: ${EXCLUDED[name]}`)
console.log(`excluded: macros with arguments: ${macros.join(', ')}`)
for (const problem of problems) console.error(problem)
console.log(`${problems.length} mismatches`)
process.exitCode = problems.length > 0 ? 1 : 0

/** What the compiler says: sizes, offsets and values by name. */
function measure() {
  const lines = []
  for (const { name, members } of structs) {
    lines.push(`printf("${name} %zu\\n", sizeof(struct ${name}));`)
    for (const member of members) {
      lines.push(`printf("${name}.${member} %zu\\n", offsetof(struct ${name}, ${member}));`)
    }
  }
  for (const { name } of [...enums, ...values]) {
    if (Object.hasOwn(EXCLUDED, name)) continue
    // `1 << 31` is negative to C: what counts are the bits.
    lines.push(
      `printf("${name} %llu\\n", sizeof(${name}) == 4 ? (unsigned long long)(unsigned)(${name}) : (unsigned long long)(${name}));`,
    )
  }
  const folder = mkdtempSync(join(tmpdir(), 'devfuse-header-'))
  try {
    const source = join(folder, 'measure.c')
    writeFileSync(
      source,
      '#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <sys/ioctl.h>\n' +
        `#include "${resolve(path)}"\nint main(void)\n{\n${lines.join('\n')}\nreturn 0;\n}\n`,
    )
    run('cc', ['-std=c11', '-o', join(folder, 'measure'), source])
    const printed = run(join(folder, 'measure'), [])
    return new Map(
      printed
        .trimEnd()
        .split('\n')
        .map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(command, args) {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`)
  return stdout
}
