// A program that uses its own mount of a directory through node:fs/promises, with more calls at once than libuv has threads.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { run, skip, temporary } from '../support/mounting.js'

const PROGRAM = `
  import * as fs from 'node:fs/promises'
  import { mountFs } from 'devfuse/fs'
  const [root, mnt] = process.argv.slice(1)
  const session = await mountFs(fs, mnt, { root })
  const one = async (at) => {
    const path = mnt + '/file' + at
    await fs.writeFile(path, 'text ' + at, { flush: true })
    await fs.truncate(path, 6)
    if ((await fs.readFile(path, 'utf8')) !== ('text ' + at).slice(0, 6)) throw new Error(path)
    await fs.rename(path, path + '-moved')
  }
  await Promise.all(Array.from({ length: 30 }, (_, at) => one(at + 10)))
  if ((await fs.readdir(mnt)).length !== 31) throw new Error('not all are there')
  await session.unmount()
  console.log('done')
`

it('every call of a program on its own mount is answered', { skip, timeout: 60_000 }, async (t) => {
  const root = temporary(t)
  writeFileSync(join(root, 'first'), '')
  const args = ['--input-type=module', '-e', PROGRAM, root, temporary(t)]
  const { stdout, stderr } = await run(process.execPath, args, {
    timeout: 30_000,
    cwd: join(import.meta.dirname, '../../..'),
    env: { ...process.env, UV_THREADPOOL_SIZE: '2' },
  })
  if (!stdout.includes('done')) throw new Error(`it did not end: ${stderr}`)
})
