// devfuse stats: asks the process that serves a mount, through its control socket, and shows the answer.
import { controlPaths, queryControl } from '../session/control.js'
import { CommandError, EXIT_OK, unmountCommand } from './command.js'
import type { Command } from './command.js'
import { mountOwner, requireFuseMount } from './fuse-mount.js'
import { renderStats } from './stats-table.js'

const TIMEOUT_MS = 3000

async function ask(path: string): Promise<unknown> {
  const mount = requireFuseMount(path, 'ask')
  const owner = mountOwner(mount)
  const tried: string[] = []
  const denied: string[] = []
  for (const socket of controlPaths(mount.minor, owner)) {
    try {
      return await queryControl(socket, TIMEOUT_MS)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') {
        tried.push(socket)
        continue
      }
      // Root's folder is closed to others, whether the socket lies there or not.
      if (code === 'EACCES') {
        denied.push(socket)
        continue
      }
      const prefix = `cannot ask the server of ${mount.mountPoint}`
      if (code === 'ECONNREFUSED') {
        throw new CommandError(
          `${prefix}: nobody listens on ${socket}, its process has died; clear the mount with \`${unmountCommand(path)}\``,
          { cause: error },
        )
      }
      throw new CommandError(`${prefix}: ${message}; its process may be stopped or blocked`, { cause: error })
    }
  }
  if (denied.length > 0 && owner !== process.geteuid?.()) {
    throw new CommandError(
      `cannot ask the server of ${mount.mountPoint}: ${denied[0]} says EACCES; run it as the user who serves the mount, or as root`,
    )
  }
  throw new CommandError(
    `cannot ask the server of ${mount.mountPoint}: there is no control socket (looked for ${[...tried, ...denied].join(', ')}); ` +
      'it is not served by devfuse, its session has `control: false`, or it belongs to another user',
  )
}

async function run([path]: string[], { json }: { json?: unknown }): Promise<number> {
  const answer = await ask(path)
  if (typeof answer === 'object' && answer !== null && 'error' in answer)
    throw new CommandError(`the server of ${path} could not answer: ${String(answer.error)}`)
  process.stdout.write(json === true ? `${JSON.stringify(answer, null, 2)}\n` : renderStats(answer))
  return EXIT_OK
}

export const stats: Command = {
  name: 'stats',
  positionals: ['MNT'],
  summary: 'Show what the server of a mount has done: requests, errors, bytes, latencies, passthrough.',
  description: `
Works from another process of the same user, or of root. Latencies are the time between the arrival of a request in
the server and its reply, in microseconds.`,
  options: { json: { type: 'boolean', help: 'Print the counters as one JSON object.' } },
  run,
}
