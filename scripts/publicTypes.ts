/**
 * Removes the declarations that the library's entry does not lead to, before `npm pack` packs them: nobody can import
 * the others. Of dist/ in the folder given, else of this checkout's; the next `npm run build` makes all of them again.
 *
 * Runs on the main thread.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [, , folder = fileURLToPath(new URL('../../', import.meta.url))] = process.argv;
const source = join(resolve(folder), 'dist/src');
const reached = new Set([join(source, 'index.d.ts')]);
// What is added to a set while it is gone through comes up, too.
for (const file of reached) {
  const text = readFileSync(file, 'utf8');
  for (const [, path] of text.matchAll(/\b(?:from|import)\s*\(?\s*["'](\.[^"']+)\.js["']/g)) {
    reached.add(`${join(dirname(file), path!)}.d.ts`);
  }
}
for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
  const file = join(source, name);
  if (name.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
}
