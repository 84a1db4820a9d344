// A JSON file as a tree that can be written to. Arguments: MNT and the file, which is made where there is none.
// Objects and arrays are directories. A string is a file with its text; a number, true, false and null are files with a line of
// JSON, and such a line is read back as the value: `echo 5 > a` makes a number, `printf 5 > a` a string. Changes are saved at once.
import { isUtf8 } from 'node:buffer'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { mountFs } from 'devfuse/fs'
import type { PathFilesystem } from 'devfuse/fs'

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
type Container = Record<string, Json> // an array is one, too

const fail = (code: string): never => {
  throw Object.assign(new Error(code), { code })
}
const isContainer = (value: Json): value is Container => typeof value === 'object' && value !== null
const file = process.argv[3] ?? 'data.json'
const top: Json = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Json) : {}
if (!isContainer(top)) throw new Error(`${file} holds neither an object nor an array`)

function save(): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(top, null, 2)}\n`)
  renameSync(`${file}.new`, file)
}

const textOf = (value: Json) => (typeof value === 'string' ? value : `${JSON.stringify(value)}\n`)

/** A value only where it is shown again as it was written. What is no text has no place in JSON. */
function valueOf(data: Uint8Array): Json {
  const text = isUtf8(data) ? Buffer.from(data).toString() : fail('EILSEQ')
  try {
    const value = JSON.parse(text) as Json
    return !isContainer(value) && typeof value !== 'string' && textOf(value) === text ? value : text
  } catch {
    return text
  }
}

/** Keys may hold what names may not: a slash, or nothing at all. */
const nameOf = (key: string) =>
  /^\.{0,2}$/.test(key) ? `%${key}` : key.replaceAll(/[%/]/g, encodeURIComponent)
const keyOf = (name: string) =>
  /^%\.{0,2}$/.test(name) ? name.slice(1) : name.replaceAll(/%2[5F]/g, decodeURIComponent)

/** What lies at a path, the object or array that holds it, and its key there. */
function locate(path: string): { parent: Container; key: string; value: Json | undefined } {
  let [parent, value]: (Json | undefined)[] = [undefined, top]
  const keys = path === '/' ? [] : path.slice(1).split('/').map(keyOf)
  for (const key of keys) {
    if (value === undefined) fail('ENOENT')
    parent = value
    if (!isContainer(parent as Json)) fail('ENOTDIR')
    // Of an array that holds its length, too, only the elements are shown.
    value = Object.keys(parent as Container).includes(key) ? (parent as Container)[key] : undefined
  }
  return { parent: parent as Container, key: keys.at(-1) ?? '', value }
}

function set(path: string, value: Json): void {
  const { parent, key } = locate(path)
  if (Array.isArray(parent) && !(/^(0|[1-9]\d*)$/.test(key) && Number(key) <= parent.length)) fail('EINVAL')
  // Not by assignment: `__proto__` is a key like any other.
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true })
}

function remove(path: string): void {
  const { parent, key } = locate(path)
  delete parent[key]
  // A hole amid an array is saved as null; at its end the array gets shorter.
  if (Array.isArray(parent)) while (parent.length > 0 && !(parent.length - 1 in parent)) parent.pop()
}

function existing(path: string): Json {
  const { value } = locate(path)
  return value === undefined ? fail('ENOENT') : value
}

function mustBeEmpty(path: string): void {
  const { value = '' } = locate(path)
  if (isContainer(value) && Object.keys(value).length > 0) fail('ENOTEMPTY')
}

const filesystem: PathFilesystem = {
  lstat(path) {
    const { value } = locate(path)
    if (value === undefined) return undefined
    return isContainer(value) ? { type: 'directory' } : { size: Buffer.byteLength(textOf(value)) }
  },
  readdir: (path) => Object.keys(locate(path).value as Container).map(nameOf),
  readFile: (path) => textOf(existing(path)),
  writeFile: (path, data) => (set(path, valueOf(data)), save()),
  mkdir: (path) => (set(path, {}), save()),
  rmdir: (path) => (mustBeEmpty(path), remove(path), save()),
  unlink: (path) => (remove(path), save()),
  rename: (from, to) => (mustBeEmpty(to), set(to, existing(from)), remove(from), save()),
}

const session = await mountFs(filesystem, process.argv[2] ?? '/mnt')
console.log(`mounted on ${session.mountPoint}`)
await session.closed
