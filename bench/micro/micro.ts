/**
 * The hot functions one by one: nanoseconds a call and bytes a second. Benchmark process, main thread.
 */
import { textTable } from '../../src/observe/format.js';
import { hashes, numbers, ring, texts } from './functions.js';
import { rowFunctions } from './rows.js';

/** One function on one kind of input. */
export interface Micro {
  name: string;
  /** Bytes a call takes in, where that is what counts. */
  bytes: number | null;
  /** Rows a call takes in; one where left out. */
  rows?: number;
  call: () => unknown;
  /** Throws where the function does something else than it should. */
  check: () => void;
}

export interface MicroResult {
  name: string;
  /** For a call, or for each of its rows. */
  nanoseconds: number;
  bytesPerSecond: number | null;
}

/** @param options.milliseconds how long each function is run, after twice as long to warm up: wide rows are compiled late */
export function runMicro({ milliseconds }: { milliseconds: number }): MicroResult[] {
  return [...rowFunctions(), ...numbers(), ...texts(), ...hashes(), ring()].map((micro) => {
    const { name, bytes, rows = 1, call } = micro;
    micro.check();
    time(call, milliseconds * 2);
    const nanoseconds = time(call, milliseconds);
    return {
      name,
      nanoseconds: nanoseconds / rows,
      bytesPerSecond: bytes === null ? null : (bytes / nanoseconds) * 1e9,
    };
  });
}

/** Stretches of time each function is run for: what disturbs one of them does not count. */
const STRETCHES = 5;

/** @returns nanoseconds of CPU a call, in the best of several stretches. */
function time(call: () => unknown, milliseconds: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let stretch = 0; stretch < STRETCHES; stretch++) {
    let calls = 0;
    const start = cpuMilliseconds();
    let end = start;
    for (let batch = 1; end - start < milliseconds / STRETCHES; batch = Math.min(batch * 2, 4096)) {
      for (let i = 0; i < batch; i++) call();
      calls += batch;
      end = cpuMilliseconds();
    }
    best = Math.min(best, ((end - start) / calls) * 1e6);
  }
  return best;
}

/** CPU time, since others may have the cores in between. */
function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function microTable(results: readonly MicroResult[]): string {
  return textTable(
    [{ title: 'function' }, { title: 'ns', align: 'right' }, { title: 'MB/s', align: 'right' }],
    results.map(({ name, nanoseconds, bytesPerSecond }) => [
      name,
      nanoseconds.toFixed(nanoseconds < 100 ? 1 : 0),
      bytesPerSecond === null ? '-' : (bytesPerSecond / 1e6).toFixed(0),
    ]),
  );
}
