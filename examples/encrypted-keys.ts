// The keys of encrypted.ts, made from a passphrase, and names under them.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fail } from './encrypted-file.js'

const NAME_MAX = 255

export class Keys {
  readonly content: Buffer
  readonly #names: Buffer
  readonly #ivs: Buffer

  /** `path` is where salt and a check of the passphrase are kept; made where there is nothing. Throws for a wrong passphrase. */
  constructor(path: string, passphrase: string) {
    const isNew = !existsSync(path)
    const stored = isNew
      ? undefined
      : (JSON.parse(readFileSync(path, 'utf8')) as { salt: string; check: string })
    const salt = stored === undefined ? randomBytes(32) : Buffer.from(stored.salt, 'base64')
    const master = scryptSync(passphrase, salt, 32, { N: 2 ** 16, r: 8, p: 1, maxmem: 2 ** 27 })
    const key = (use: string): Buffer => Buffer.from(hkdfSync('sha256', master, salt, use, 32))
    this.content = key('content')
    this.#names = key('names')
    this.#ivs = key('ivs of names')
    const check = key('check')
    if (stored === undefined) {
      const text = JSON.stringify({ salt: salt.toString('base64'), check: check.toString('base64') })
      writeFileSync(path, `${text}\n`, { flag: 'wx', mode: 0o600 })
    } else if (!timingSafeEqual(check, Buffer.from(stored.check, 'base64'))) {
      throw new Error('the passphrase is wrong')
    }
  }

  /** The same text always becomes the same, so that names can be found: its own digest is the initial value. */
  seal(text: string): string {
    const iv = createHmac('sha256', this.#ivs).update(text).digest().subarray(0, 16)
    const cipher = createCipheriv('aes-256-ctr', this.#names, iv)
    return Buffer.concat([iv, cipher.update(text), cipher.final()]).toString('base64url')
  }

  /** Names have 175 bytes at the most. */
  sealName(name: string): string {
    const sealed = this.seal(name)
    return sealed.length > NAME_MAX ? fail('ENAMETOOLONG') : sealed
  }

  /** Undefined for what was not sealed with these keys. */
  open(sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url')
    if (bytes.length < 16) return undefined
    const decipher = createDecipheriv('aes-256-ctr', this.#names, bytes.subarray(0, 16))
    const text = Buffer.concat([decipher.update(bytes.subarray(16)), decipher.final()]).toString()
    return this.seal(text) === sealed ? text : undefined
  }
}
