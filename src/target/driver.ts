/**
 * pg, without what its look at the runtime costs. Main thread and writer threads.
 *
 * pg asks, when it is loaded, whether it runs in a Cloudflare worker: by `navigator`, and where there is none, as in
 * Node 20, by making a `Response`, for which Node loads all of its fetch. A `navigator` for that moment, like the one
 * of later versions of Node, halves the time it takes to load.
 */
import { createRequire } from 'node:module';
import type pg from 'pg';

const require = createRequire(import.meta.url);

export const { Client } = load();

function load(): Pick<typeof pg, 'Client'> {
  if ('navigator' in globalThis) return require('pg');
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js' }, configurable: true });
  try {
    return require('pg');
  } finally {
    Reflect.deleteProperty(globalThis, 'navigator');
  }
}
