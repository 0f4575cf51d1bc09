/**
 * This program's version.
 *
 * Runs on the main thread.
 */
import { readFileSync } from 'node:fs';

/** package.json is the nearest one above this file, built or not. */
export function version(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
        version: string;
      };
      if (version !== undefined) return version;
    } catch {
      // Not there: one folder further up.
    }
  }
  return 'unknown';
}
