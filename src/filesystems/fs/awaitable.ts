// Work that may have to wait: what answers at once is carried on at once, and touches no promise.
import type { Awaitable } from './path-filesystem.js'

export function isPromise<Value>(value: Awaitable<Value> | Value): value is PromiseLike<Value> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Steps that wait with `yield* wait(...)`; {@link run} carries them out. */
export type Steps<Value> = Generator<PromiseLike<unknown>, Value, unknown>

/** The value, once it is there; throws what a promise was rejected with. */
export function* wait<Value>(value: Awaitable<Value>): Steps<Value> {
  return isPromise(value) ? ((yield value) as Value) : value
}

/** Carries out steps: the result at once where nothing had to be waited for, else a promise of it. */
export function run<Value>(steps: Steps<Value>): Value | Promise<Value> {
  const { done, value } = steps.next()
  return done ? value : carryOn(steps, value)
}

async function carryOn<Value>(steps: Steps<Value>, first: PromiseLike<unknown>): Promise<Value> {
  for (let pending = first; ;) {
    let step: IteratorResult<PromiseLike<unknown>, Value>
    try {
      const value = await pending
      step = steps.next(value)
    } catch (error) {
      step = steps.throw(error)
    }
    if (step.done) return step.value
    pending = step.value
  }
}

/** `step` of the value, at once or later. */
export function then<Value, Result>(
  value: Awaitable<Value>,
  step: (value: Value) => Awaitable<Result>,
): Awaitable<Result> {
  return isPromise(value) ? value.then(step) : step(value)
}
