/**
 * The target's side of a comparison where PostgreSQL computes the hashes itself, from real column values.
 *
 * Main thread.
 */
import type { TablePlan } from '../plan/model.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { readRows } from '../target/rows.js';
import { bitmapOf } from './hashGroups.js';
import { comparedColumns, expressionsOf, keyColumns, targetCanonical } from './hashSql.js';
import { hasIntegerKey } from './integerGroups.js';
import {
  type GroupingSide,
  type IntegerRanges,
  type KeyedDigest,
  type KeyRange,
  type Scope,
  type Side,
  type Totals,
  WHOLE,
} from './side.js';

export interface TargetHashOptions {
  /** The column to take for the hash of a row's values, or null: they are hashed. */
  rowHashColumn: string | null;
}

const NOTHING = Buffer.alloc(0);
/** PostgreSQL 18 casts bytes to integers, which takes a fifth less time than by way of bits. */
const BYTES_ARE_NUMBERS = 180_000;

export class HashingTarget implements Side, GroupingSide {
  readonly streamed = false;
  readonly #target: TargetConnection;
  readonly #plan: TablePlan;
  readonly #keyHash: string;
  readonly #digest: string;

  constructor(target: TargetConnection, plan: TablePlan, { rowHashColumn }: TargetHashOptions) {
    this.#target = target;
    this.#plan = plan;
    const key = targetCanonical(expressionsOf(keyColumns(plan), 'target'));
    this.#keyHash = `md5(${key})`;
    this.#digest =
      rowHashColumn === null
        ? `md5(${targetCanonical(expressionsOf(comparedColumns(plan), 'target'))})`
        : `md5(${key} || convert_to(COALESCE(t.${quoteIdent(rowHashColumn)}, ''), 'UTF8'))`;
  }

  async probe(): Promise<void> {
    const { from } = this.#from([`${this.#digest} AS h`], WHOLE, true);
    await this.#target.query(`SELECT x.kh, x.h FROM ${from} LIMIT 0`);
  }

  async totals(scope: Scope): Promise<Totals> {
    const { from, values } = this.#from([this.#words()], scope);
    const [row] = await this.#target.query<SumRow>(`SELECT ${SUMS} FROM ${from}`, values);
    return totalsOf(row as SumRow);
  }

  hashTotals(bits: number, scope: Scope): Promise<Buffer> {
    const { from, values } = this.#from([this.#words()], scope, true);
    return this.#packedTotals(from, values, firstBits('x.kh', bits), null);
  }

  get grouping(): GroupingSide | null {
    return hasIntegerKey(this.#plan) ? this : null;
  }

  groupTotals(size: bigint, within: KeyRange, located: boolean): Promise<Buffer> {
    // Within the fence group and place are computed once, not once for every sum.
    const [group, place] = ['/', '%'].map((operator) => `${this.#bigKey()} ${operator} ${size}::bigint`);
    const columns = [`${group} AS g`, ...(located ? [`${place} AS p`] : []), this.#words()];
    const { from, values } = this.#from(columns, within);
    return this.#packedTotals(from, values, 'x.g', located ? 'x.p' : null);
  }

  async rangeRows({ ranges }: IntegerRanges): Promise<Buffer> {
    const key = `t.${quoteIdent(keyColumns(this.#plan)[0]!.targetName)}`;
    // Fenced off, the rows of each range are looked up by the key, and never the ranges of each row.
    const sql =
      `SELECT string_agg(int8send(x.k # $1::bigint) || decode(x.h, 'hex'), ''::bytea ` +
      `ORDER BY x.k, x.h COLLATE "C") AS p FROM (` +
      `SELECT ${this.#bigKey()} AS k, ${this.#digest} AS h FROM unnest($2::bigint[], $3::bigint[]) AS w(lo, hi), ` +
      `LATERAL (SELECT * FROM ${qualified(this.#plan.target)} AS t WHERE ${key} > w.lo AND ${key} <= w.hi OFFSET 0) AS t ` +
      'OFFSET 0) AS x';
    const bounds = [0, 1].map((end) => ranges.map((range) => String(range[end])));
    const [row] = await this.#target.query<{ p: Buffer | null }>(sql, ['-9223372036854775808', ...bounds]);
    return row?.p ?? NOTHING;
  }

  async *digests(scope: Scope): AsyncGenerator<KeyedDigest[], void, void> {
    const key = keyColumns(this.#plan).map(
      ({ targetName }, i) => `t.${quoteIdent(targetName)}::text AS k${i}`,
    );
    const { from, values } = this.#from([...key, `${this.#digest} AS h`], scope, true);
    const sql = `SELECT x.* FROM ${from} ORDER BY x.kh COLLATE "C", x.h COLLATE "C"`;
    for await (const rows of readRows<Record<string, string | null>>(this.#target, sql, values)) {
      yield rows.map((row) => ({
        key: key.map((_, i) => row[`k${i}`] ?? 'NULL'),
        keyHash: row.kh ?? '',
        digest: row.h ?? '',
      }));
    }
  }

  /** @param place what a row's words are multiplied with for located totals, or null: plain ones */
  async #packedTotals(from: string, values: string[], group: string, place: string | null): Promise<Buffer> {
    const placed = place === null ? [] : WORDS.map((word) => `${word} * ${place}`);
    const sums = [...WORDS, ...placed].map((value) => `sum(${value})::bigint`);
    const numbers = [group, 'count(*)', ...sums].map((number) => `int8send(${number})`);
    // One value for all: a driver's row a group costs more than the group.
    const [row] = await this.#target.query<{ p: Buffer | null }>(
      `SELECT string_agg(x.p, ''::bytea) AS p FROM (SELECT ${numbers.join(' || ')} AS p FROM ${from} GROUP BY ${group}) AS x`,
      values,
    );
    return row?.p ?? NOTHING;
  }

  /** The first two words of the digest as one number, cut out of its digits once. */
  #words(): string {
    return this.#target.serverVersion >= BYTES_ARE_NUMBERS
      ? `substring(decode(${this.#digest}, 'hex') FROM 1 FOR 8)::bigint AS w`
      : `('x' || ${this.#digest})::bit(64)::bigint AS w`;
  }

  #bigKey(): string {
    return `t.${quoteIdent(keyColumns(this.#plan)[0]!.targetName)}::bigint`;
  }

  #from(columns: string[], scope: Scope, needsKeyHash = false): { from: string; values: string[] } {
    const within = scope.kind === 'range' ? scope : scope.within;
    const range = targetRange(this.#plan, within, (n) => `$${n}`);
    const all = needsKeyHash || scope.kind === 'hashes' ? [`${this.#keyHash} AS kh`, ...columns] : columns;
    const rows =
      `(SELECT ${all.join(', ')} FROM ${qualified(this.#plan.target)} AS t` +
      // A fence: without it each mention of x.h outside would be computed anew.
      `${range.condition === '' ? '' : ` WHERE ${range.condition}`} OFFSET 0) AS x`;
    if (scope.kind === 'range') return { from: rows, values: range.values };
    const bit = `get_bit($${range.values.length + 1}::bytea, ${firstBits('x.kh', scope.bits)}::int)`;
    return {
      from: `(SELECT * FROM ${rows} WHERE ${bit} = 1) AS x`,
      values: [...range.values, `\\x${bitmapOf(scope).toString('hex')}`],
    };
  }
}

/**
 * The condition that keeps to a key range of the table aliased `t`; empty where it is open on both sides.
 *
 * @param placeholder SQL of the n-th value, from 1
 */
export function targetRange(
  plan: TablePlan,
  range: Pick<KeyRange, 'lower' | 'upper'>,
  placeholder: (n: number) => string,
): { condition: string; values: string[] } {
  const key = keyColumns(plan);
  const row = `(${key.map(({ targetName }) => `t.${quoteIdent(targetName)}`).join(', ')})`;
  const values: string[] = [];
  const conditions: string[] = [];
  for (const [bound, operator] of [
    [range.lower, '>'],
    [range.upper, '<='],
  ] as const) {
    if (bound === null) continue;
    // The key text is the source's; every type that can bound a range reads it exactly.
    const texts = bound.map((text, i) => {
      values.push(text);
      return `${placeholder(values.length)}::text::${key[i]?.pgType ?? 'text'}`;
    });
    conditions.push(`${row} ${operator} (${texts.join(', ')})`);
  }
  return { condition: conditions.join(' AND '), values };
}

interface SumRow {
  n: string;
  s1: string | null;
  s2: string | null;
}

/** The first bits of a hash as a number, cut out of its digits. */
function firstBits(digits: string, bits: number): string {
  return `('x' || ${digits})::bit(${bits})::bigint`;
}

/** Four bytes each of `x.w`, unsigned. */
const WORDS = ['(x.w >> 32 & 4294967295)', '(x.w & 4294967295)'] as const;
const SUMS = `count(*)::text AS n, sum(${WORDS[0]})::text AS s1, sum(${WORDS[1]})::text AS s2`;

function totalsOf(row: SumRow): Totals {
  return { rows: BigInt(row.n), first: BigInt(row.s1 ?? 0), second: BigInt(row.s2 ?? 0) };
}
