// The example filesystems without a mount: the same calls from the program that serves them.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { built } from '../examples/example.js'
import { run, skip, temporary } from '../support/mounting.js'

/** Replaces `devfuse` in the examples, and nowhere else. */
const hook = `
  const instead = ${JSON.stringify(new URL('./instead-of-mount.js', import.meta.url).href)}
  export function resolve(specifier, context, next) {
    const replaced = specifier === 'devfuse' && context.parentURL?.includes('/build/examples/')
    return next(replaced ? instead : specifier, context)
  }`
const register = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)})`

/** Runs `script` on the filesystem of an example: what it returned. */
async function inside(name: string, script: string, ...args: string[]): Promise<unknown> {
  const loader = `data:text/javascript,${encodeURIComponent(register)}`
  const { code, stdout, stderr } = await run(
    process.execPath,
    ['--no-warnings', '--import', loader, built(name), '/nowhere', ...args],
    { env: { ...process.env, SCRIPT: script }, timeout: 30_000 },
  )
  assert.equal(code, 0, stderr)
  const { result, left } = JSON.parse(stdout) as { result: unknown; left: unknown }
  assert.deepEqual(left, { open: [], inodes: [] })
  return result
}

const caught = `const caught = (call) => call.then(() => 'no failure', ({ code }) => code)`

describe('examples without a mount', { skip, timeout: 120_000 }, () => {
  it('hello', async () => {
    const script = `${caught}; return [await fs.readdir('/'), await fs.readFile('/hello', 'utf8'), await caught(fs.writeFile('/new', ''))]`
    assert.deepEqual(await inside('hello', script), [['hello'], 'Hello from TypeScript!\n', 'EPERM'])
  })

  it('async-hello', async () => {
    const script = `${caught}; return [await fs.readFile('/hello', 'utf8'), await caught(fs.stat('/other'))]`
    assert.deepEqual(await inside('async-hello', script, '20'), ['Hello, a little later!\n', 'ENOENT'])
  })

  it('null', async () => {
    assert.equal(await inside('null', `${caught}; return caught(fs.stat('/'))`), 'ENOSYS')
  })

  it('simple, which keeps what it was given', async (t) => {
    const store = join(temporary(t), 'store')
    const made = await inside(
      'simple',
      `${caught}
      await fs.mkdir('/d/e', { recursive: true })
      await fs.writeFile('/d/f', 'content')
      await fs.symlink('d/f', '/l')
      await fs.rename('/d/f', '/d/e/g')
      await fs.chmod('/d/e/g', 0o600)
      return [(await fs.readdir('/', { recursive: true })).toSorted(), await caught(fs.rmdir('/d')), await caught(fs.stat('/l'))]`,
      store,
    )
    assert.deepEqual(made, [['d', 'd/e', 'd/e/g', 'l'], 'ENOTEMPTY', 'ENOENT'])
    const kept = await inside(
      'simple',
      `return [await fs.readFile('/d/e/g', 'utf8'), (await fs.stat('/d/e/g')).mode, await fs.readlink('/l')]`,
      store,
    )
    assert.deepEqual(kept, ['content', 0o100600, 'd/f'])
  })

  it('passthrough', async (t) => {
    const path = join(temporary(t), 'real')
    writeFileSync(path, 'from the real file')
    const script = `
      const [name] = await fs.readdir('/')
      const text = await fs.readFile('/' + name, 'utf8')
      return [text, (await fs.connection()).session.stats().passthrough.opens]`
    assert.deepEqual(await inside('passthrough', script, path), ['from the real file', 1])
  })
})
