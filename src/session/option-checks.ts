// What the value of an option may be, and what is said of one that may not.
import { inspect } from 'node:util'
import { OptionError } from './errors.js'

/** What a value must be, where it is not. */
export type Check = (value: unknown) => string | undefined

export const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')
export const func: Check = (value) => (typeof value === 'function' ? undefined : 'a function')
export const abortSignal: Check = (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal')
export const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? undefined : `one of ${values.map((one) => JSON.stringify(one)).join(', ')}`
export const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `an integer from ${min} to ${max}`
export const text: Check = (value) =>
  typeof value === 'string' && value.length > 0 && !value.includes('\0') ? undefined : 'a string without NUL'
export const subtype: Check = (value) =>
  typeof value === 'string' && /^[^\0,\s]+$/.test(value) ? undefined : 'a word without commas or spaces'
export const path: Check = (value) =>
  typeof value === 'string' && value.startsWith('/') && !value.includes('\0') ? undefined : 'an absolute path'
export const powerOfTwo: Check = (value) =>
  typeof value === 'number' && Number.isInteger(Math.log2(value)) && value >= 512 && value <= 65_536
    ? undefined
    : 'a power of two from 512 to 65536 (bytes)'
const isId = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 0xffff_ffff
export const owner: Check = (value) => {
  const { uid, gid } = (value ?? {}) as { uid?: unknown; gid?: unknown }
  return isId(uid) && isId(gid) ? undefined : 'of the form { uid, gid }'
}
export const words: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')
    ? undefined
    : 'an array of mount options'
export const flagList: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')
    ? undefined
    : 'an array of INIT flag names'
export const powerOfTen: Check = (value) =>
  typeof value === 'number' && Number.isInteger(Math.log10(value)) && value >= 1 && value <= 1e9
    ? undefined
    : 'a power of ten from 1 to 1e9 (nanoseconds)'

/** Validates one option of a module that is on or off, where it is given. Throws an {@link OptionError}. */
export function requireBoolean(name: string, value: unknown): void {
  validate({ [name]: value }, { [name]: boolean })
}

/** The options, where they are any. Throws an {@link OptionError} for null and what else is no object. */
export function requireOptions<Options extends object>(options: Options): Options {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return options
  throw new OptionError(`options are an object of keys and values, not ${show(options)}`)
}

/** Refuses what is no option, and values that cannot be, by name. */
export function validate(options: object, known: Record<string, Check>): void {
  for (const [key, value] of Object.entries(requireOptions(options))) {
    const check = Object.hasOwn(known, key) ? known[key] : undefined
    if (check === undefined) {
      throw new OptionError(
        `unknown option \`${key}\`; the options are ${Object.keys(known).sort().join(', ')}`,
      )
    }
    if (value === undefined) continue
    const wrong = check(value)
    if (wrong !== undefined) throw new OptionError(`option \`${key}\` must be ${wrong}, not ${show(value)}`)
  }
}

/** A value in a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  // Not String(): an object may have no way to become one.
  return typeof value === 'object' && value !== null ? inspect(value, { depth: 0 }) : String(value)
}
