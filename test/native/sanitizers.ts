// The tests of other files once more, with the addon built with AddressSanitizer and UndefinedBehaviorSanitizer.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = new URL('../../../', import.meta.url)
const compiler = process.env['CC'] ?? 'cc'

/** The full path of a library of the compiler, or undefined. */
function library(name: string): string | undefined {
  try {
    const path = execFileSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' }).trim()
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

const libraries = [library('libasan.so'), library('libubsan.so')]
/** Why nothing can be run under the sanitizers, or false. */
export const noSanitizers = libraries.includes(undefined)
  ? `${compiler} has no libasan.so and libubsan.so`
  : false

/** A test for the build, and one for each of the files, which lie in test/native. */
export function underSanitizers(files: readonly string[]): void {
  it('builds', () => {
    const script = fileURLToPath(new URL('scripts/build-native.mjs', root))
    // Test files run beside each other, and there is one place for what is built.
    const command = [fileURLToPath(new URL('build', root)), process.execPath, script, '--sanitize']
    const built = spawnSync('flock', command, { encoding: 'utf8', timeout: 120_000 })
    assert.equal(built.status, 0, built.stderr)
  })

  for (const file of files) {
    it(`passes ${file}.test`, { timeout: 190_000 }, () => {
      const ran = spawnSync(
        process.execPath,
        ['--test-reporter=tap', fileURLToPath(new URL(`./${file}.test.js`, import.meta.url))],
        {
          encoding: 'utf8',
          timeout: 180_000,
          killSignal: 'SIGKILL',
          env: {
            ...process.env,
            NODE_TEST_CONTEXT: undefined,
            DEVFUSE_ADDON: fileURLToPath(new URL('build/native-sanitize/devfuse.node', root)),
            LD_PRELOAD: libraries.join(' '),
            NODE_OPTIONS: `--import=${new URL('./clients-without-preload.js', import.meta.url).href}`,
            ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=0',
            UBSAN_OPTIONS: 'print_stacktrace=1',
          },
        },
      )
      assert.equal(ran.status, 0, `${ran.stdout}\n${ran.stderr}`)
      assert.doesNotMatch(ran.stderr, /AddressSanitizer|runtime error/)
    })
  }
}
