/**
 * Waiting for a word of a lane to change, and the one way a lane's abort shows.
 *
 * Reader and writer threads own sockets and wait with `Atomics.waitAsync`; the hash thread owns none and
 * blocks. Every wait ends when the lane is aborted, by throwing AppError CANCELLED: an aborted lane can't be
 * mistaken for a slot that came, and nobody can forget to look. Whoever aborted it holds the real error.
 */
import { AppError } from '../errors.js';
import { LANE_STATE, LANE_WORD } from './layout.js';

/** How often a wait looks again though nobody woke it. A net under the wake-ups, not the mechanism. */
const RECHECK_MS = 100;

/** @throws AppError CANCELLED where the lane was aborted. */
export function throwIfAborted(words: Int32Array): void {
  if (Atomics.load(words, LANE_WORD.STATE) !== LANE_STATE.RUNNING) {
    throw new AppError('CANCELLED', 'the lane was aborted');
  }
}

/**
 * Waits until word `index` no longer holds `seen`, without blocking the thread. May also end early: the
 * caller looks again. A change between the caller's look and this call ends it at once.
 * @throws AppError CANCELLED where the lane was aborted, before or while waiting.
 */
export async function waitForChange(words: Int32Array, index: number, seen: number): Promise<void> {
  const wait = Atomics.waitAsync(words, index, seen);
  // Registered first, looked after: an abort is either seen here or wakes the registered wait.
  throwIfAborted(words);
  if (!wait.async) return;
  const ticket = holdLoop(words, index);
  try {
    await wait.value;
  } finally {
    releaseLoop(ticket);
  }
  throwIfAborted(words);
}

/**
 * Blocks the thread until word `index` no longer holds `seen`, at most `RECHECK_MS`. For threads without sockets.
 * @throws AppError CANCELLED where the lane was aborted.
 */
export function blockForChange(words: Int32Array, index: number, seen: number): void {
  throwIfAborted(words);
  Atomics.wait(words, index, seen, RECHECK_MS);
  throwIfAborted(words);
}

interface Ticket {
  words: Int32Array;
  index: number;
}

/** Waits under way on this thread. */
const tickets = new Set<Ticket>();
let heartbeat: NodeJS.Timeout | undefined;

/**
 * `Atomics.waitAsync` does not keep the event loop alive; one timer per thread does while anything waits.
 * Its beat also wakes the waits to look again, which spares a timer per wait.
 */
function holdLoop(words: Int32Array, index: number): Ticket {
  const ticket = { words, index };
  tickets.add(ticket);
  if (heartbeat === undefined) heartbeat = setInterval(beat, RECHECK_MS);
  else if (tickets.size === 1) heartbeat.ref();
  return ticket;
}

function releaseLoop(ticket: Ticket): void {
  tickets.delete(ticket);
  if (tickets.size === 0) heartbeat?.unref();
}

function beat(): void {
  for (const { words, index } of tickets) Atomics.notify(words, index);
}
