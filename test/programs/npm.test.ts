// npm and the TypeScript compiler through a mirror: an install of common packages and a compilation that uses them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attempt, missing, run } from './command.js'
import { place, unfit } from './mounted.js'

const source = `import express from 'express'
import type { UserConfig } from 'vite'
const app = express()
app.get('/', (_request, response) => { response.send('hello') })
export const config: UserConfig = { root: '.' }
console.log(typeof app.listen, config.root)
`

const settings = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: true,
    types: ['node'],
  },
  files: ['main.ts'],
}

test(
  'npm install of express, typescript and vite, and a tsc run',
  { skip: missing('npm') || unfit(), timeout: 900_000 },
  async (t) => {
    const reachable = await attempt(['npm', 'view', 'express', 'version'], { timeout: 30_000 }).then(
      ({ status }) => status === 0,
      () => false,
    )
    if (!reachable) return t.skip('the npm registry is not reachable')

    const here = place(t, 'npm')
    const { mnt } = await here.mirror()
    await run(['mkdir', `${mnt}/app`])
    const cwd = `${mnt}/app`
    const write = (name: string, text: string) => run(['sh', '-c', 'cat > "$0"', name], { cwd, input: text })
    await write(
      'package.json',
      JSON.stringify({ name: 'app', version: '1.0.0', type: 'module', private: true }),
    )
    await write('main.ts', source)
    await write('tsconfig.json', JSON.stringify(settings))

    const packages = ['express', 'typescript@5', 'vite', '@types/express', '@types/node']
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error', `--cache=${mnt}/cache`]
    await run(['npm', 'install', ...quiet, ...packages], { cwd, timeout: 600_000 })
    await run(['npm', 'ls', '--all'], { cwd })
    await run(['node_modules/.bin/tsc', '--project', '.'], { cwd, timeout: 120_000 })
    const { stdout } = await run([process.execPath, 'main.js'], { cwd })
    assert.equal(stdout, 'function .\n')

    // What lies below the mount is what npm wrote through it.
    await run(['diff', '-r', '--no-dereference', `${here.src}/app`, cwd], { timeout: 120_000 })
  },
)
