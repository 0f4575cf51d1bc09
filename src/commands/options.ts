/**
 * Readers of option values.
 *
 * Runs on the main thread.
 */
import { InvalidArgumentError } from 'commander';

/** @returns a reader of whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** Reads the id of a run. */
export function runId(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError(
    'Give the id of a run as results and log lines have it: 8-4-4-4-12 hexadecimal digits.',
  );
}
