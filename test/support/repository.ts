/** Where the checkout is, for tests that read its sources; any thread. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of biome.json: the checkout, wherever the build was written to inside it. */
export const repositoryRoot = findUp(dirname(fileURLToPath(import.meta.url)));

function findUp(directory: string): string {
  if (existsSync(join(directory, 'biome.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory)
    throw new Error('These tests read the sources: run them from a build inside the checkout');
  return findUp(parent);
}
