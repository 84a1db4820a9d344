// `npm run generate`: writes everything that follows from the protocol tables, or with --check says what is stale.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { emitAbi } from './emit-abi.js'
import { emitDecoders } from './emit-decoders.js'
import { emitDocs } from './emit-docs.js'
import { emitFilesystem } from './emit-filesystem.js'
import { emitConstants, emitInfo, emitLayout } from './emit-info.js'
import { emitNotifications } from './emit-notifications.js'
import { emitReplies } from './emit-replies.js'
import { emitRequests } from './emit-requests.js'

const root = join(import.meta.dirname, '../../../..')

const outputs: readonly (readonly [string, () => string])[] = [
  ['src/protocol/generated/constants.ts', emitConstants],
  ['src/protocol/generated/decoders.ts', emitDecoders],
  ['src/protocol/generated/filesystem.ts', emitFilesystem],
  ['src/protocol/generated/info.ts', emitInfo],
  ['src/protocol/generated/layout.ts', emitLayout],
  ['src/protocol/generated/notifications.ts', emitNotifications],
  ['src/protocol/generated/replies.ts', emitReplies],
  ['src/protocol/generated/requests.ts', emitRequests],
  ['test/protocol/generated/abi_check.c', emitAbi],
  ['docs/operations.md', emitDocs],
]

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const check = process.argv.includes('--check')
const stale: string[] = []
for (const [name, emit] of outputs) {
  const path = join(root, name)
  const text = emit()
  if (readOrEmpty(path) === text) continue
  stale.push(name)
  if (!check) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}

if (check && stale.length > 0) {
  console.error(`stale (run \`npm run generate\`):\n${stale.map((name) => `  ${name}`).join('\n')}`)
  process.exitCode = 1
} else {
  console.log(stale.length === 0 ? 'generated files are up to date' : `wrote ${stale.join(', ')}`)
}
