/**
 * The pages of `docs/` with their generated parts, which stand between two comments:
 *
 *     <!-- generated: name -->
 *     <!-- end of name -->
 *
 * Runs on the main thread. What is around them is written by hand.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandParts } from './commands.js';
import { configurationParts } from './configuration.js';
import { errorParts } from './errors.js';
import { hashParts } from './hashExamples.js';
import { typeParts } from './types.js';

export interface Page {
  /** As a path of the repository. */
  file: string;
  found: string;
  filled: string;
}

/** By name, what belongs between its comments. */
export function generatedParts(): Map<string, string> {
  const parts = [configurationParts, commandParts, typeParts, hashParts, errorParts];
  return new Map(parts.flatMap((generate) => generate()));
}

/** @throws Error where a page asks for a part that nothing generates */
export function filledPages(root: string): Page[] {
  const parts = generatedParts();
  const names = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return names.map((name) => {
    const found = readFileSync(join(root, 'docs', name), 'utf8');
    const filled = found.replace(
      /(<!-- generated: (.+?) -->\n)[\s\S]*?(<!-- end of \2 -->)/g,
      (_all, begin: string, part: string, end: string) => {
        const text = parts.get(part);
        if (text === undefined) throw new Error(`docs/${name} asks for "${part}", which nothing generates`);
        return `${begin}\n${text.trim()}\n\n${end}`;
      },
    );
    return { file: `docs/${name}`, found, filled };
  });
}

/** Names of the parts that a page has a place for. */
export function placesIn(page: string): string[] {
  return [...page.matchAll(/<!-- generated: (.+?) -->/g)].map((match) => match[1]!);
}
