// The option autoUnmount: a shell of a few hundred kilobytes that outlives this process by an instant, to take its mount
// away. It holds no descriptor of the device, nothing of our stdio, and is in a session of its own, so that no signal to our
// process group reaches it.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import type { DeviceNumber } from './connection.js'
import { MountError } from './mount-error.js'

// The first line says which mount is ours, the second one that it is gone in peace. The end of the pipe without it means
// that this process has died. Only what is on top at the path can be unmounted by it, so only that is looked at. The last
// words are for a server that mounted by fusermount3, or in a place that only the helper may touch.
const SCRIPT = `
trap '' HUP INT TERM
read -r device || exit 0
read -r dismissed && exit 0
top=
while read -r id parent number root point rest; do
  [ "$point" = "$2" ] && top=$number
done < /proc/self/mountinfo
[ "$top" = "$device" ] || exit 0
umount -l "$1" 2>/dev/null || exec fusermount3 -u -z -- "$1"
`

/** Takes a mount away after the death of this process, unless it is another one by then. */
export class Watchdog {
  readonly #pipe: Socket

  private constructor(child: ChildProcess) {
    this.#pipe = child.stdin as Socket
    // Neither keeps our event loop alive; a watchdog that somebody killed is no reason to fail.
    child.unref()
    this.#pipe.unref()
    this.#pipe.on('error', () => undefined)
  }

  /** Starts one for a mount at `mountPoint`, which is told to it by {@link watch}. */
  static start(mountPoint: string): Promise<Watchdog> {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'devfuse-auto-unmount', mountPoint, escaped(mountPoint)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      // A working directory of its own would keep some mount busy.
      cwd: '/',
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: 'C' },
    })
    return new Promise((done, fail) => {
      child.on('spawn', () => done(new Watchdog(child)))
      child.on('error', (error: NodeJS.ErrnoException) => {
        const message = `autoUnmount needs a shell to watch over ${mountPoint}: ${error.message}`
        fail(new MountError(message, error.errno ?? -2, 'spawn', mountPoint))
      })
    })
  }

  /** The mount is there. */
  watch({ major, minor }: DeviceNumber): void {
    this.#pipe.write(`${major}:${minor}\n`)
  }

  /** The mount is gone, or never came: the watchdog ends. */
  dismiss(): void {
    if (!this.#pipe.writableEnded) this.#pipe.end('gone\ngone\n')
  }
}

/** Kernel: mountinfo writes space, tab, newline and backslash as three octal digits. */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
}
