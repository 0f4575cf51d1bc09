/**
 * Random numbers that come again with their seed, for tests that must fail again as they failed (mulberry32). Any
 * thread.
 */

/** @returns a function that gives a whole number from 0 to below its bound, at most 2^32 */
export function randomFrom(seed: number): (bound: number) => number {
  let state = seed | 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

/** @returns a function that gives a number from 0 to below 1 */
export function fractionsFrom(seed: number): () => number {
  const next = randomFrom(seed);
  return () => next(2 ** 32) / 2 ** 32;
}
