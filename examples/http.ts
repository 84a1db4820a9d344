// The directory listings of a web server as directories, read-only. Arguments: MNT and the address.
// Listings are pages of links, as Apache, nginx and others make them; files are read in ranges, only what is asked for.
import { mountFs } from 'devfuse/fs'
import type { PathFilesystem } from 'devfuse/fs'

const base = new URL(`${(process.argv[3] ?? 'http://localhost:8000').replace(/\/*$/, '')}/`)
const FRESH = 5000 // milliseconds that an answer is believed
const fail = (code: string): never => {
  throw Object.assign(new Error(code), { code })
}
const ERRNOS: Record<number, string> = {
  401: 'EACCES',
  403: 'EACCES',
  404: 'ENOENT',
  410: 'ENOENT',
  412: 'ESTALE',
}
const address = (path: string, end = '') =>
  new URL(path.slice(1).split('/').map(encodeURIComponent).join('/') + end, base)
async function ask(url: URL, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch(() => fail('EHOSTUNREACH'))
  if (!response.ok && response.status !== 416) fail(ERRNOS[response.status] ?? 'EIO')
  return response
}

const answers = new Map<string, { at: number; value: Promise<unknown> }>()
function cached<Value>(url: URL, get: () => Promise<Value>): Promise<Value> {
  for (const [key, { at }] of answers) if (Date.now() - at > FRESH) answers.delete(key)
  const known = answers.get(url.href)
  if (known !== undefined) return known.value as Promise<Value>
  const value = get()
  answers.set(url.href, { at: Date.now(), value })
  value.catch(() => answers.delete(url.href))
  return value
}

/** Names in a directory, and whether each is a directory: links that lead one step down. */
function listing(path: string): Promise<Map<string, boolean>> {
  const url = path === '/' ? base : address(path, '/')
  return cached(url, async () => {
    const page = await (await ask(url, { headers: { accept: 'text/html' } })).text()
    const names = new Map<string, boolean>()
    for (const [, href] of page.matchAll(/<a\s[^>]*href\s*=\s*["']?([^"'>\s]+)/gi)) {
      const { origin, pathname } = new URL(href.replaceAll('&amp;', '&'), url)
      if (origin !== url.origin || !pathname.startsWith(url.pathname)) continue
      const [, name, slash] = /^([^/]+)(\/?)$/.exec(pathname.slice(url.pathname.length)) ?? []
      if (name !== undefined && !/%2f|%00/i.test(name)) names.set(decodeURIComponent(name), slash === '/')
    }
    return names
  })
}

const head = (url: URL) =>
  cached(url, async () => {
    const { headers } = await ask(url, { method: 'HEAD', headers: { 'accept-encoding': 'identity' } })
    const [length, modified] = [headers.get('content-length'), headers.get('last-modified')]
    return {
      size: length === null ? undefined : Number(length),
      mtime: modified === null ? undefined : new Date(modified),
      etag: headers.get('etag'),
    }
  })

const filesystem: PathFilesystem = {
  async lstat(path) {
    if (path === '/') return { type: 'directory' }
    const cut = path.lastIndexOf('/')
    const isDirectory = (await listing(path.slice(0, cut) || '/')).get(path.slice(cut + 1))
    if (isDirectory === undefined || isDirectory) return isDirectory && { type: 'directory' }
    const { size, mtime } = await head(address(path))
    return { type: 'file', size, mtime }
  },
  readdir: async (path) => (await listing(path)).keys(),
  async open(path) {
    const url = address(path)
    const { etag } = await head(url)
    // A file that changes while it is read is told by its tag: better no data than half of each.
    const headers = new Headers({ 'accept-encoding': 'identity' })
    if (etag !== null && !etag.startsWith('W/')) headers.set('if-match', etag)
    let whole: Buffer | undefined
    return {
      async read(buffer, offset, length, position) {
        if (whole === undefined) {
          headers.set('range', `bytes=${position}-${position + length - 1}`)
          const response = await ask(url, { headers: new Headers(headers) })
          if (response.status === 416) return 0
          const bytes = Buffer.from(await response.arrayBuffer())
          if (response.status === 206) return bytes.copy(buffer, offset, 0, length)
          whole = bytes // the server knows no ranges
        }
        return whole.copy(buffer, offset, position, position + length)
      },
    }
  },
}

const session = await mountFs(filesystem, process.argv[2] ?? '/mnt', { entryValid: 5, attrValid: 5 })
console.log(`mounted on ${session.mountPoint}`)
await session.closed
