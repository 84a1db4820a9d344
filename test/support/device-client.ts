// The compiled client of the ioctl and poll tests (device-client.c), and its calls as functions.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './mounting.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
let compiled: string | undefined

function program(): string {
  if (compiled !== undefined) return compiled
  const folder = join(root, 'build/test-client')
  const path = join(folder, `device-client-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const source = join(root, 'test/support/device-client.c')
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', path, source])
  process.on('exit', () => rmSync(path, { force: true }))
  return (compiled = path)
}

async function call(...args: (string | number)[]): Promise<string> {
  const { code, stdout, stderr } = await run(program(), args.map(String))
  if (code !== 0) throw new Error(`client ${args.join(' ')}: ${stdout}${stderr} (exit status ${code})`)
  return stdout.trim()
}

/** Directions of ioctl(2) as the caller sees them: _IOW is what it writes. */
export const IOC = { none: 0, write: 1, read: 2, both: 3 } as const

/** The command `_IOC(direction, 'E', number, size)`. */
export function command(direction: number, number: number, size: number): number {
  return (direction * 2 ** 30 + (size << 16) + (0x45 << 8) + number) >>> 0
}

/** ioctl(2) of group 'E' with `size` bytes that begin with `data`; `result=0 errno=0 data=00ff...`. */
export function ioctl(
  path: string,
  direction: number,
  number: number,
  size: number,
  data = '',
): Promise<string> {
  return call('ioctl', path, direction, number, size, data)
}

/** ioctl(2) `_IO('E', number)` whose argument is a number. */
export function ioctlNumber(path: string, number: number, argument: number): Promise<string> {
  return call('number', path, number, argument)
}

/** poll(2); `result=1 errno=0 revents=1 ms=20`. */
export function poll(path: string, events: number, timeout: number): Promise<string> {
  return call('poll', path, events, timeout)
}

/** Edge-triggered epoll_wait(2), and a read of what is there, `rounds` times; the bytes read, separated by spaces. */
export function epoll(path: string, rounds: number): Promise<string> {
  return call('epoll', path, rounds)
}
