// Runs the shared cases on a mount, as a process of its own: DIRECTORY. Says the outcome of each as a line of JSON.
import * as fs from 'node:fs/promises'
import { cases } from './shared-cases.js'

const [directory = ''] = process.argv.slice(2)
process.umask(0o022)
let at = 0
for (const [name, one] of Object.entries(cases)) {
  const dir = `${directory}/case-${at++}`
  let error: string | undefined
  try {
    await fs.mkdir(dir)
    await one(fs, dir)
    await fs.rm(dir, { recursive: true })
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  }
  console.log(JSON.stringify({ name, error }))
}
