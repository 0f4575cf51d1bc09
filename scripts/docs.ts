/**
 * Writes what the pages of `docs/` say of the code: `npm run docs`.
 *
 * Runs on the main thread. A test holds the pages to it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filledPages } from './docs/pages.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
for (const { file, found, filled } of filledPages(root)) {
  if (found === filled) continue;
  writeFileSync(join(root, file), filled);
  console.log(`${file} was brought up to date`);
}
