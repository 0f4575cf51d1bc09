/**
 * Names of constraints and indexes in the target: never too long, never the same twice, the same in every run.
 *
 * Pure.
 */
import { createHash } from 'node:crypto';
import { MAX_IDENTIFIER_BYTES } from '../target/identifiers.js';

export function tooLong(name: string): boolean {
  return bytes(name) > MAX_IDENTIFIER_BYTES;
}

export function bytes(name: string): number {
  return Buffer.byteLength(name, 'utf8');
}

/** The source's name where it fits; else its beginning and eight digits of its hash. */
export function constraintName(name: string): string {
  if (!tooLong(name)) return name;
  return hashedName(name, name);
}

function hashedName(name: string, identity: string): string {
  const digits = createHash('md5').update(identity).digest('hex').slice(0, 8);
  let head = name;
  while (bytes(head) > MAX_IDENTIFIER_BYTES - 9) head = [...head].slice(0, -1).join('');
  return `${head}_${digits}`;
}

/** An index that wants a name: SQL Server's are unique in a table, PostgreSQL's among all relations of a schema. */
export interface NameWish {
  table: string;
  name: string;
}

/**
 * @param taken names of relations that keep theirs: tables, sequences, constraints
 * @returns a name for each wish, in order. Those who want the same name, or a taken one, are called `table_name`;
 * which table comes first makes no difference.
 */
export function indexNames(wishes: readonly NameWish[], taken: ReadonlySet<string>): string[] {
  const wanted = wishes.map(({ name }) => constraintName(name));
  const counts = countOf(wanted);
  const second = wishes.map(({ table, name }, i) => {
    const first = wanted[i] as string;
    return counts.get(first) === 1 && !taken.has(first) ? first : constraintName(`${table}_${name}`);
  });
  const secondCounts = countOf(second);
  return wishes.map(({ table, name }, i) => {
    const found = second[i] as string;
    if (secondCounts.get(found) === 1 && !taken.has(found)) return found;
    return hashedName(`${table}_${name}`, JSON.stringify([table, name]));
  });
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
