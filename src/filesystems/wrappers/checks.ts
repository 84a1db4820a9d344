// Checks of what the wrappers are given: what they cannot use would be ignored, or fail much later.
import { inspect } from 'node:util'
import { OptionError } from '../../index.js'

/** Throws an OptionError for options that are none, or have a name that `whose` does not know. */
export function checkNames(whose: string, given: object, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null)
    throw new OptionError(`${whose} takes an object with ${known.join(', ')}, not ${shown(given)}`)
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new OptionError(`${whose} has no \`${unknown}\`; there is ${known.join(', ')}`)
}

/** Throws an OptionError that says what option `name` of `whose` must be, unless it `fits`. */
export function checkOption(
  whose: string,
  name: string,
  value: unknown,
  wanted: string,
  fits: (value: unknown) => boolean,
): void {
  if (!fits(value))
    throw new OptionError(`option \`${name}\` of ${whose} must be ${wanted}, not ${shown(value)}`)
}

/** Throws an OptionError for what is no filesystem. */
export function checkFilesystem(whose: string, given: unknown): void {
  if (typeof given !== 'object' || given === null)
    throw new OptionError(`${whose} needs a filesystem, not ${given === null ? 'null' : typeof given}`)
}

/** Whether a value is a number in a range, both ends included. */
export const isWithin =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    typeof value === 'number' && value >= least && value <= most

/** Whether a value is an integer in a range, both ends included. */
export const isInteger =
  (least: number, most: number = Number.MAX_SAFE_INTEGER) =>
  (value: unknown): boolean =>
    Number.isSafeInteger(value) && isWithin(least, most)(value)

/** A value for a message. */
export const shown = (value: unknown): string => inspect(value, { depth: 1, breakLength: Infinity })
