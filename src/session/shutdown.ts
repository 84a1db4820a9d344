// Process-wide shutdown: mounts never outlive their process quietly. SIGINT, SIGTERM and SIGHUP unmount
// every session and then let the signal do its work; process.exit() and crashes detach what is left.
import { messageOf } from './errors.js'
import { settlesWithin } from './patience.js'

/** What shutdown needs of a session. */
export interface Unmountable {
  /** Clean unmount, detaching where it is busy; settles when the session has ended. */
  shutdown(): Promise<void>
  /** Detaches the mount without the event loop, from an exit handler; bounded in time. */
  detachNow(): void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const sessions = new Set<Unmountable>()
const signalled = new Set<Unmountable>()
let installed = false
let ending = false
let exiting = false

function onSignal(signal: NodeJS.Signals): void {
  // Asked now: a handler for one time is gone from the list once it has been called, which is after us.
  const handled = process.listeners(signal).some((listener) => listener !== onSignal)
  // A second signal while we unmount: do what is left of it at once.
  if (ending) {
    for (const session of signalled) session.detachNow()
    finish(signal, handled)
    return
  }
  ending = true
  void Promise.allSettled([...signalled].map((session) => session.shutdown())).then(() => {
    ending = false
    finish(signal, handled)
  })
}

/** Ends the process by the signal itself, unless the program has a handler of its own for it. */
function finish(signal: NodeJS.Signals, handled: boolean): void {
  uninstallSignals()
  if (!handled) process.kill(process.pid, signal)
  // A program that goes on may have mounted meanwhile.
  else if (signalled.size > 0) installSignals()
}

function onExit(): void {
  exiting = true
  for (const session of sessions) session.detachNow()
}

/** The default of the option `onWarning`: process.emitWarning, which comes too late once the process exits. */
export function emitWarning(problem: Error): void {
  if (exiting) process.emit('warning', problem)
  else process.emitWarning(problem)
}

/** Passes a survived problem to the option `onWarning`, which may throw without harm to what goes on here. */
export function tell<Problem>(onWarning: (problem: Problem) => void, problem: Problem): void {
  try {
    onWarning(problem)
  } catch (error) {
    process.emitWarning(`devfuse: the onWarning option threw: ${wordsOf(error)}`)
  }
}

function wordsOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return messageOf(thrown)
  }
}

function installSignals(): void {
  installed = true
  for (const signal of SIGNALS) process.prependListener(signal, onSignal)
}

function uninstallSignals(): void {
  for (const signal of SIGNALS) process.off(signal, onSignal)
  installed = false
}

/** Watches over a session until {@link unwatch}; `signals` says whether it is unmounted on signals, too. */
export function watch(session: Unmountable, signals: boolean): void {
  if (sessions.size === 0) process.on('exit', onExit)
  sessions.add(session)
  if (!signals) return
  signalled.add(session)
  if (!installed) installSignals()
}

/** The session has ended. */
export function unwatch(session: Unmountable): void {
  sessions.delete(session)
  signalled.delete(session)
  if (sessions.size === 0) process.off('exit', onExit)
  if (signalled.size === 0 && installed && !ending) uninstallSignals()
}

/** How long a signal waits for a mount that is being made, in milliseconds. */
const PATIENCE = 5000

/**
 * Makes a session whose mount shows before it is there. A signal that comes in between (`signals`) waits for it, and takes it away;
 * `giveUp` makes that wait short. A second one, or one that has waited long enough, calls `detachNow`.
 */
export async function arriving<Live extends Unmountable>(
  signals: boolean,
  make: () => Promise<Live>,
  { giveUp, detachNow }: { giveUp?: () => void; detachNow?: () => void } = {},
): Promise<Live> {
  let made: Promise<Live> | undefined
  const pending: Unmountable = {
    shutdown: async () => {
      giveUp?.()
      const session = made?.catch(() => undefined) ?? Promise.resolve(undefined)
      if (await settlesWithin(session, PATIENCE)) await (await session)?.shutdown()
      else detachNow?.()
    },
    detachNow: () => detachNow?.(),
  }
  watch(pending, signals)
  try {
    made = make()
    return await made
  } finally {
    unwatch(pending)
  }
}
