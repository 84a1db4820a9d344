// The option `workers`: threads that are there before the mount is, and the share of each.
import { possibleCpus, shareOut, usableCpus } from '../device/cpus.js'
import type { Share } from '../device/cpus.js'
import { requireShareable } from './clone.js'
import { OptionError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import type { ResolvedOptions } from './options.js'
import { stayOn } from './pinning.js'
import type { Session } from './session.js'
import { recruit } from './workers.js'
import type { Recruit } from './workers.js'

/** Who serves a module: `workers` threads in all. */
export interface TeamPlan {
  /** URL of the module. */
  readonly module: string
  readonly data: unknown
  readonly workers: number
  readonly pinWorkers: boolean
}

/** The options as several threads need them. Throws an OptionError where they cannot serve `filesystem` together. */
export function forTeam(options: ResolvedOptions, filesystem: Filesystem): ResolvedOptions {
  requireShareable(filesystem, new Set())
  if (options.passthrough === 'on') {
    throw new OptionError(
      "passthrough: 'on' goes with one thread only, because its rules are kept per thread: leave `workers` out, or passthrough",
    )
  }
  return { ...options, passthrough: 'off' }
}

/** The threads beside the one that mounts. */
export class Team {
  readonly #plan: TeamPlan
  readonly #shares: readonly Share[]
  readonly #recruits: readonly Recruit[]

  /** Starts the threads, and waits until each has its filesystem. Rejects with what is wrong with the module. */
  static async gather(plan: TeamPlan, { transport, signal }: ResolvedOptions): Promise<Team> {
    const usable = usableCpus()
    if (transport === 'ring' && plan.workers > usable.length) {
      throw new OptionError(
        `option \`workers\` is ${plan.workers}, but over io_uring each serves the requests of CPUs of its own, and this process ` +
          `may use ${usable.length}: take as many at the most, or transport: 'device'`,
      )
    }
    const shares = transport === 'ring' ? shareOut(plan.workers, possibleCpus(), usable) : []
    return new Team(plan, shares, await recruit(plan.workers - 1, plan.module, plan.data, signal))
  }

  private constructor(plan: TeamPlan, shares: readonly Share[], recruits: readonly Recruit[]) {
    this.#plan = plan
    this.#shares = shares
    this.#recruits = recruits
  }

  /** The queues of the thread that mounts; undefined without a ring. */
  get queues(): readonly number[] | undefined {
    return this.#shares[0]?.queues
  }

  /** INIT was answered: lets the others serve, too. Rejects where one cannot. */
  async join(session: Session, { busyPoll }: ResolvedOptions): Promise<void> {
    await Promise.all(
      this.#recruits.map((one, index) => {
        const share = this.#shares[index + 1]
        const cpus = this.#plan.pinWorkers ? share?.cpus : undefined
        return one.serve(session, { clone: session.cloneFor(share?.queues), cpus, busyPoll })
      }),
    )
    if (!this.#plan.pinWorkers || this.#shares.length === 0) return
    const letGo = await stayOn(this.#shares[0].cpus)
    // The thread may be the caller's, and outlive the mount.
    void session.closed.then(letGo)
  }

  /** Nothing was mounted. */
  async dismiss(): Promise<void> {
    await Promise.all(this.#recruits.map((one) => one.dismiss()))
  }
}
