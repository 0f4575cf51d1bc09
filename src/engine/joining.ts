/**
 * Threads that are added to a run while others work: they take part once all of them have their connections, and where
 * one can't have it the run goes on without them. Main thread.
 */
import { type ErrorData, toErrorData } from '../errors.js';

/** A thread that was begun. */
export interface Thread {
  task: Promise<void>;
  /** That it has its connection. */
  connected: Promise<void>;
}

/** @param begin begins the thread's task, which calls what it is given once it has its connection */
export function threadOf(begin: (onConnected: () => void) => Promise<void>): Thread {
  let onConnected = (): void => {};
  const connected = new Promise<void>((resolve) => {
    onConnected = resolve;
  });
  return { task: begin(onConnected), connected };
}

/** @returns what has a thread's part and needs no connection */
export function unconnected(task: Promise<void>): Thread {
  return { task, connected: Promise.resolve() };
}

/**
 * @returns null once all of them have their connections, or why they take no part
 * @throws an error that is the run's
 */
export async function refusalOf(threads: readonly Thread[]): Promise<ErrorData | null> {
  try {
    const ended = Promise.all(threads.map(({ task }) => task));
    await Promise.race([ended, Promise.all(threads.map(({ connected }) => connected))]);
    return null;
  } catch (error) {
    const data = toErrorData(error);
    // IO: this process can't open more connections.
    if (!/^(SOURCE|TARGET)_|^(CANCELLED|IO)$/.test(data.code)) throw error;
    return data;
  }
}
