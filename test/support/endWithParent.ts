/**
 * Preloaded (`node --import`) into a test's child process, on its main thread: ends it when the parent ends.
 *
 * The parent holds the other end of the child's stdin, so however the parent dies, stdin ends here.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  const end = () => process.exit(1);
  process.stdin.once('end', end).once('error', end).resume();
}
