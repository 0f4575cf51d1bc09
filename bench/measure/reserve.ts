/**
 * Memory that is at hand for a timed run: a process holds it, and lets it go as the run takes memory. Main thread of that
 * process, and of the benchmark (`reserveMemory`).
 *
 * A virtual machine gives memory that has been free for some seconds back to its host, and the first touch of such a page
 * costs several times as much. What was touched before a run is therefore not enough: the longer of two runs would find
 * less of it. Here no more is free at any time than is about to be taken.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MIB = 1024 * 1024;
/** Let go at once. */
const PIECE_BYTES = 32 * MIB;
/** Free beyond what was free before, as long as there is something to let go. */
const AHEAD_BYTES = 128 * MIB;
const POLL_MS = 20;

/**
 * Takes memory, touches all of it, and lets it go as whatever runs then takes memory.
 *
 * @returns ends it; what is left is freed
 */
export async function reserveMemory(bytes: number): Promise<() => Promise<void>> {
  const holder = fork(fileURLToPath(import.meta.url), [String(bytes)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ended = once(holder, 'exit');
  const ready = await Promise.race([once(holder, 'message').then(() => true), ended.then(() => false)]);
  if (!ready)
    throw new Error(`the process that holds ${Math.ceil(bytes / MIB)} MiB ready for a run has ended`);
  return async () => {
    holder.kill();
    await ended;
  };
}

/** What nobody has, the kernel's caches neither; undefined where there is no /proc. */
function freeBytes(): number | undefined {
  try {
    const kib = /^MemFree:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}

function hold(bytes: number): void {
  const held: Buffer[] = [];
  for (let i = 0; i < bytes; i += PIECE_BYTES) held.push(Buffer.alloc(PIECE_BYTES, 1));
  const before = freeBytes();
  // Where it can't be seen how much is free, all is let go at once: what was touched last is found warm.
  if (before === undefined) held.length = 0;
  global.gc?.();
  process.send?.('ready');
  process.once('disconnect', () => process.exit(0));
  setInterval(() => {
    const free = freeBytes();
    if (before === undefined || free === undefined) return;
    const pieces = Math.ceil((before + AHEAD_BYTES - free) / PIECE_BYTES);
    if (pieces <= 0 || held.length === 0) return;
    held.length = Math.max(0, held.length - pieces);
    // An array's memory is freed when its object is collected.
    global.gc?.();
  }, POLL_MS);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) hold(Number(process.argv[2]));
