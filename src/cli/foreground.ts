// What the commands that mount something have in common: who may use the mount and how, and staying in the foreground until it ends.
import type { Session, SessionOptions } from '../index.js'
import { EXIT_FAILURE, EXIT_OK, UsageError } from './command.js'
import type { OptionSpec, OptionValues } from './command.js'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Options of every command that mounts. */
export const mountSpecs: Record<string, OptionSpec> = {
  private: {
    type: 'boolean',
    help: 'Only the user who mounts may use the mount. The default for everybody but root.',
  },
  'no-suid': {
    type: 'boolean',
    help: 'Set-user-id and set-group-id bits do not work. The default for everybody but root.',
  },
  'no-dev': { type: 'boolean', help: 'Device files do not work. The default for everybody but root.' },
  noexec: { type: 'boolean', help: 'Programs on the mount cannot be run.' },
  noatime: { type: 'boolean', help: 'Reading does not update access times.' },
  transport: {
    type: 'string',
    values: ['device', 'ring', 'auto'],
    help: 'How requests come. device (default): /dev/fuse; ring: io_uring; auto: the ring where it can be had.',
  },
  quiet: { type: 'boolean', short: 'q', help: 'Do not print the line that says when the mount is ready.' },
}

/** The options of the session that {@link mountSpecs}, `--allow-other` and `--fsname` stand for; what is not said is absent. */
export function mountOptions(values: OptionValues): SessionOptions {
  const { fsname, transport } = values
  if (values['allow-other'] === true && values.private === true) {
    throw new UsageError('--allow-other and --private exclude each other')
  }
  return {
    ...(values['allow-other'] === true && { allowOther: true }),
    ...(values.private === true && { allowOther: false }),
    ...(values['no-suid'] === true && { suid: false }),
    ...(values['no-dev'] === true && { dev: false }),
    ...(values.noexec === true && { noexec: true }),
    ...(values.noatime === true && { noatime: true }),
    ...((transport === 'device' || transport === 'ring' || transport === 'auto') && { transport }),
    ...(typeof fsname === 'string' && { fsName: fsname }),
    control: true,
    onWarning: ({ message }) => process.stderr.write(`devfuse: ${message}\n`),
  }
}

/** Says `ready`, unless asked to be quiet, and waits for the end of the mount: the exit status. */
export async function untilClosed(session: Session, values: OptionValues, ready: string): Promise<number> {
  // The library unmounts on these signals and would then let them end the process; we end with a status instead.
  for (const signal of SIGNALS) process.on(signal, () => undefined)
  if (values.quiet !== true) process.stdout.write(`${ready}\n`)
  const { reason, leftBehind = false } = await session.closed
  // What went wrong was reported as a warning.
  return (reason === 'unmount' || reason === 'outside') && !leftBehind ? EXIT_OK : EXIT_FAILURE
}
