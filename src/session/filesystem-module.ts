// A filesystem that a module exports: imports it in the thread that will serve it.
import { types } from 'node:util'
import { OptionError, messageOf } from './errors.js'
import type { Filesystem } from './filesystem.js'

type Maker = (data: unknown) => unknown
type MakerClass = new (data: unknown) => unknown

/**
 * The filesystem of a module: its default export, which is a {@link Filesystem}, or a class, a function or an async function that
 * makes one from `data`. Throws an OptionError where there is none, and whatever error the module throws.
 */
export async function importFilesystem(module: string, data: unknown): Promise<Filesystem> {
  try {
    return await makeFilesystem(module, data)
  } catch (error) {
    if (error instanceof Error || types.isNativeError(error)) throw error
    throw new Error(`the module ${module} threw ${messageOf(error)}`, { cause: error })
  }
}

async function makeFilesystem(module: string, data: unknown): Promise<Filesystem> {
  const exported = await importDefault(module)
  const made =
    typeof exported === 'function'
      ? isClass(exported)
        ? new (exported as MakerClass)(data)
        : await (exported as Maker)(data)
      : exported
  if (typeof made !== 'object' || made === null) {
    throw new OptionError(
      typeof exported === 'function'
        ? `the default export of ${module} made ${describe(made)}: it has to return a filesystem, an object of handlers`
        : `the default export of ${module} is ${describe(exported)}: it has to be a filesystem (an object of handlers), or a ` +
            'class or function that makes one',
    )
  }
  return made
}

async function importDefault(module: string): Promise<unknown> {
  try {
    const exports = (await import(module)) as { default?: unknown }
    return exports.default
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error
    const fix = /\.[cm]?ts($|[?#])/.test(module)
      ? 'TypeScript needs Node 22.18 or newer, or a loader (node --import tsx); or name the compiled .js file'
      : 'name a JavaScript module'
    throw new OptionError(`Node ${process.version} cannot import ${module}: ${fix}`, { cause: error })
  }
}

function isClass(exported: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(exported))
}

function describe(value: unknown): string {
  return value === undefined ? 'missing' : value === null ? 'null' : `a ${typeof value}`
}
