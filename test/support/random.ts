// A small generator of numbers, so that a failure can be repeated.

/** Makes a function that answers a number from 0 to before `below`; the same ones for the same seed. */
export function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
