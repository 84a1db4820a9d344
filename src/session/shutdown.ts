// Process-wide shutdown: mounts never outlive their process quietly. SIGINT, SIGTERM and SIGHUP unmount
// every session and then let the signal do its work; process.exit() and crashes detach what is left.

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

function onSignal(signal: NodeJS.Signals): void {
  // A second signal while we unmount: do what is left of it at once.
  if (ending) {
    for (const session of signalled) session.detachNow()
    finish(signal)
    return
  }
  ending = true
  void Promise.allSettled([...signalled].map((session) => session.shutdown())).then(() => {
    ending = false
    finish(signal)
  })
}

/** Ends the process by the signal itself, unless the program has a handler of its own for it. */
function finish(signal: NodeJS.Signals): void {
  const others = process.listeners(signal).some((listener) => listener !== onSignal)
  uninstallSignals()
  if (!others) process.kill(process.pid, signal)
}

function onExit(): void {
  for (const session of sessions) session.detachNow()
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
  if (installed) return
  installed = true
  for (const signal of SIGNALS) process.on(signal, onSignal)
}

/** The session has ended. */
export function unwatch(session: Unmountable): void {
  sessions.delete(session)
  signalled.delete(session)
  if (sessions.size === 0) process.off('exit', onExit)
  if (signalled.size === 0 && installed && !ending) uninstallSignals()
}
