// One stored file of encrypted.ts: 16 random bytes that are its id, then blocks of up to 4096 bytes, each as nonce (12), bytes and
// tag (16) of AES-256-GCM. Each file has a key of its own, and each block is bound to its place: none can be moved unnoticed.
// Not noticed are a file that lost whole blocks at its end, and one that was put back as it was earlier.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { fstatSync, ftruncateSync, readSync } from 'node:fs'
import { writeWhole } from './whole-writes.js'

const [ID, BLOCK, NONCE, TAG] = [16, 4096, 12, 16]
const SEALED = NONCE + BLOCK + TAG
const ZEROS = Buffer.alloc(BLOCK)
const place = (index: number) => Buffer.from(`${index}`)

/** An error as node:fs has it. */
export function fail(code: string): never {
  throw Object.assign(new Error(code), { code })
}

/** Bytes of a file as it is seen, from those of the stored one. */
export function plainSize(stored: number): number {
  const sealed = Math.max(0, stored - ID)
  return Math.max(0, sealed - Math.ceil(sealed / SEALED) * (NONCE + TAG))
}

export class EncryptedFile {
  readonly fd: number
  readonly #key: Uint8Array

  /** `fd` is open for reading, and for writing where it is to be written; an empty file becomes one of ours. */
  constructor(fd: number, key: Uint8Array, writable: boolean) {
    this.fd = fd
    const id = randomBytes(ID)
    if (readSync(fd, id, 0, ID, 0) === 0 && writable) writeWhole(fd, id, 0)
    this.#key = Buffer.from(hkdfSync('sha256', key, id, 'file', 32))
  }

  get size(): number {
    return plainSize(fstatSync(this.fd).size)
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0
    while (done < length) {
      const at = (position + done) % BLOCK
      const bytes = this.#block(Math.floor((position + done) / BLOCK)).subarray(at, at + length - done)
      if (bytes.length === 0) break
      buffer.set(bytes, offset + done)
      done += bytes.length
    }
    return done
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): number {
    if (position > this.size) this.truncate(position)
    for (let done = 0; done < length;) {
      const index = Math.floor((position + done) / BLOCK)
      const at = (position + done) % BLOCK
      const bytes = buffer.subarray(offset + done, offset + Math.min(length, done + BLOCK - at))
      const old = bytes.length === BLOCK ? ZEROS.subarray(0, 0) : this.#block(index)
      this.#seal(index, Buffer.concat([old.subarray(0, at), bytes, old.subarray(at + bytes.length)]))
      done += bytes.length
    }
    return length
  }

  truncate(size: number): void {
    for (let end = this.size; end < size;) {
      const index = Math.floor(end / BLOCK)
      const length = Math.min(BLOCK, size - index * BLOCK)
      this.#seal(index, Buffer.concat([this.#block(index), ZEROS]).subarray(0, length))
      end = index * BLOCK + length
    }
    if (size === this.size) return
    const index = Math.floor(size / BLOCK)
    const rest = this.#block(index).subarray(0, size % BLOCK)
    ftruncateSync(this.fd, ID + index * SEALED)
    if (rest.length > 0) this.#seal(index, rest)
  }

  /** A block, shorter at the end of the file. */
  #block(index: number): Buffer {
    const sealed = Buffer.alloc(SEALED)
    const length = readSync(this.fd, sealed, 0, SEALED, ID + index * SEALED)
    if (length === 0) return sealed.subarray(0, 0)
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE))
      decipher.setAAD(place(index)).setAuthTag(sealed.subarray(length - TAG, length))
      return Buffer.concat([decipher.update(sealed.subarray(NONCE, length - TAG)), decipher.final()])
    } catch {
      return fail('EIO')
    }
  }

  #seal(index: number, bytes: Uint8Array): void {
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(place(index))
    const sealed = Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    writeWhole(this.fd, sealed, ID + index * SEALED)
  }
}
