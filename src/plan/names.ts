/**
 * Names in the target: never too long, never the same twice, the same in every run.
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

/**
 * @param identity what the name is of: names that are cut to the same beginning differ by it
 * @returns the name where it fits; else its beginning and eight digits of a hash.
 */
export function fitting(name: string, identity: string): string {
  return tooLong(name) ? hashedName(name, identity) : name;
}

/** @returns the beginning of a name and eight digits of its identity's hash. */
export function hashedName(name: string, identity: string): string {
  const digits = createHash('md5').update(identity).digest('hex').slice(0, 8);
  return `${beginning(name, MAX_IDENTIFIER_BYTES - 9)}_${digits}`;
}

/** What is left of 63 bytes between the underscores of `table_column_seq`. */
const SEQUENCE_NAME_BYTES = MAX_IDENTIFIER_BYTES - '__seq'.length;

/** @returns what PostgreSQL calls the sequence of an identity column: the longer of both names is cut first. */
export function sequenceName(table: string, column: string): string {
  let [tableBytes, columnBytes] = [bytes(table), bytes(column)];
  while (tableBytes + columnBytes > SEQUENCE_NAME_BYTES) {
    if (tableBytes > columnBytes) tableBytes--;
    else columnBytes--;
  }
  return `${beginning(table, tableBytes)}_${beginning(column, columnBytes)}_seq`;
}

/** @returns as many whole characters as fit. */
function beginning(name: string, most: number): string {
  let head = name;
  while (bytes(head) > most) head = [...head].slice(0, -1).join('');
  return head;
}

/**
 * A relation that wants a name: SQL Server's indexes have names that are unique in a table, PostgreSQL's share those
 * of all relations of a schema.
 */
export interface NameWish {
  schema: string;
  /** The table it belongs to, which helps to tell it apart; null where it belongs to none. */
  table: string | null;
  name: string;
  /** What it is in the source, the same in every run. */
  identity: string;
}

/** @returns what a relation's name is known by among those that are taken. */
export function relationKey({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name]);
}

/**
 * @param taken `relationKey`s of relations that keep their names: tables, sequences, constraints
 * @returns a name for each wish, in order. Those who want the same name, or a taken one, are called `table_name`;
 * which comes first makes no difference.
 */
export function relationNames(wishes: readonly NameWish[], taken: ReadonlySet<string>): string[] {
  const settle = (names: readonly string[], others: (wish: NameWish) => string): string[] => {
    const keys = wishes.map(({ schema }, i) => relationKey({ schema, name: names[i]! }));
    const counts = countOf(keys);
    return wishes.map((wish, i) =>
      counts.get(keys[i]!) === 1 && !taken.has(keys[i]!) ? names[i]! : others(wish),
    );
  };
  const longer = ({ table, name }: NameWish): string => (table === null ? name : `${table}_${name}`);
  const first = settle(
    wishes.map(({ name }) => fitting(name, name)),
    (wish) => fitting(longer(wish), longer(wish)),
  );
  return settle(first, (wish) => hashedName(longer(wish), wish.identity));
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
