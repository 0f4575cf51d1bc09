/**
 * The source's side of a comparison where SQL Server computes the hashes itself.
 *
 * Main thread.
 */
import type { NulPolicy } from '../copy/text.js';
import { keyList } from '../plan/keysQuery.js';
import type { SourceQuery, TablePlan } from '../plan/model.js';
import { type RangeColumn, rangeColumns, rangeCondition } from '../plan/queries.js';
import type { SourceConnection, SourceIsolation } from '../source/connection.js';
import { readPackedRows } from '../source/packedRows.js';
import { readRows } from '../source/rows.js';
import { quote, quoteTable } from '../source/sql.js';
import { totalsBytes } from './groupTotals.js';
import {
  comparedColumns,
  expressionsOf,
  hashedColumns,
  keyColumns,
  sourceCanonical,
  sourceDigits,
  sourceMd5,
} from './hashSql.js';
import { hasIntegerKey } from './integerGroups.js';
import { INTEGER_ROW_BYTES } from './integerRows.js';
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

export interface SourceHashOptions {
  nul: NulPolicy;
  isolation: SourceIsolation;
  /** Compares with the target's stored row hash instead of its values. */
  trustRowHash: boolean;
}

export class HashingSource implements Side, GroupingSide {
  readonly streamed = false;
  readonly #source: SourceConnection;
  readonly #plan: TablePlan;
  readonly #keyHash: string;
  readonly #digest: string;
  readonly #hint: string;

  /** Only for plans that `unhashable` has nothing against. */
  constructor(source: SourceConnection, plan: TablePlan, options: SourceHashOptions) {
    this.#source = source;
    this.#plan = plan;
    const canonical = (columns: TablePlan['columns']) =>
      sourceCanonical(expressionsOf(columns, 'source'), options.nul) ?? '';
    const key = canonical(keyColumns(plan));
    this.#keyHash = sourceMd5(key);
    this.#digest = sourceMd5(
      options.trustRowHash
        ? `${key} + CONVERT(varbinary(32), ${sourceDigits(sourceMd5(canonical(hashedColumns(plan))))})`
        : canonical(comparedColumns(plan)),
    );
    this.#hint = options.isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : '';
  }

  async probe(): Promise<void> {
    const { from } = this.#from([`${this.#digest} AS h`], WHOLE, true);
    await this.#source.query(`SELECT TOP (0) x.kh, x.h FROM ${from}`);
  }

  async totals(scope: Scope): Promise<Totals> {
    const { from, parameters } = this.#from([`${this.#digest} AS h`], scope);
    const [row] = await this.#source.query(`SELECT ${this.#sums()} FROM ${from}`, parameters);
    return totalsOf(row ?? {});
  }

  async buckets(bits: number, scope: Scope): Promise<Map<number, Totals>> {
    const { from, parameters } = this.#from([`${this.#digest} AS h`], scope, true);
    const bucketed = `(SELECT ${word('x.kh', 1)} / CONVERT(bigint, @size) AS b, x.h FROM ${from}) AS x`;
    const rows = await this.#source.query(
      `SELECT CONVERT(nvarchar(20), x.b) AS b, ${this.#sums()} FROM ${bucketed} GROUP BY x.b`,
      [...parameters, { name: 'size', value: String(2 ** (32 - bits)) }],
    );
    return new Map(rows.map((row) => [Number(row.b), totalsOf(row)]));
  }

  get grouping(): GroupingSide | null {
    return hasIntegerKey(this.#plan) ? this : null;
  }

  groupTotals(size: bigint, within: KeyRange, located: boolean): Promise<Buffer> {
    const { from, parameters } = this.#from([`${this.#bigKey()} AS k`, `${this.#digest} AS h`], within);
    const group = 'x.k / CONVERT(bigint, @size)';
    const place = 'x.k % CONVERT(bigint, @size)';
    const words = [word('x.h', 1), word('x.h', 5)];
    const placed = words.map((one) => `${one} * (${place})`);
    const sums = [...words, ...(located ? placed : [])].map((value) => `SUM(${value})`);
    const numbers = [group, 'COUNT_BIG(*)', ...sums].map((number) => `CONVERT(binary(8), ${number})`);
    return readPackedRows(
      this.#source,
      `SELECT ${numbers.join(' + ')} AS p FROM ${from} GROUP BY ${group}`,
      [...parameters, { name: 'size', value: String(size) }],
      totalsBytes(located),
    );
  }

  async rangeRows({ ranges }: IntegerRanges): Promise<Buffer> {
    const [column] = rangeColumns(this.#plan) as [RangeColumn];
    const key = `t.${quote(column.column.name)}`;
    const bounds = ranges.map((range) => range.map(String));
    const { rows: list, parameters } = keyList([column, column], bounds);
    const join = ` JOIN (VALUES ${list.join(', ')}) AS w(lo, hi) ON ${key} > w.lo AND ${key} <= w.hi`;
    const { from } = this.#from([`${this.#bigKey()} AS k`, `${this.#digest} AS h`], WHOLE, false, join);
    const sql = `SELECT CONVERT(binary(8), x.k) + x.h AS p FROM ${from} ORDER BY x.k, x.h`;
    const rows = await readPackedRows(this.#source, sql, parameters, INTEGER_ROW_BYTES);
    // The order of signed numbers.
    for (let at = 0; at < rows.length; at += INTEGER_ROW_BYTES) rows[at]! ^= 0x80;
    return rows;
  }

  async *digests(scope: Scope): AsyncGenerator<KeyedDigest[], void, void> {
    const key = keyColumns(this.#plan);
    const texts = rangeColumns(this.#plan);
    const columns = key.map(({ sourceName }, i) => `t.${quote(sourceName)} AS [k${i}]`);
    const { from, parameters } = this.#from([...columns, `${this.#digest} AS h`], scope, true);
    const select = key.map((_, i) => {
      const column = `x.[k${i}]`;
      return `${texts?.[i]?.text.toText(column) ?? `CONVERT(nvarchar(max), ${column})`} AS k${i}`;
    });
    const sql =
      `SELECT ${select.join(', ')}, ${sourceDigits('x.kh')} AS kh, ${sourceDigits('x.h')} AS h ` +
      `FROM ${from} ORDER BY x.kh, x.h`;
    for await (const rows of readRows(this.#source, sql, parameters)) {
      yield rows.map((row) => ({
        key: key.map((_, i) => String(row[`k${i}`])),
        keyHash: String(row.kh),
        digest: String(row.h),
      }));
    }
  }

  #bigKey(): string {
    return `CONVERT(bigint, t.${quote(this.#plan.keyColumns[0]!)})`;
  }

  #sums(): string {
    // Sums of 2^31 words pass a bigint's range; only a table without a key is summed whole.
    const wide = this.#plan.keyColumns.length === 0;
    const summed = (at: number) => (wide ? `CONVERT(decimal(38,0), ${word('x.h', at)})` : word('x.h', at));
    return (
      `CONVERT(nvarchar(20), COUNT_BIG(*)) AS n, ` +
      `CONVERT(nvarchar(40), SUM(${summed(1)})) AS s1, CONVERT(nvarchar(40), SUM(${summed(5)})) AS s2`
    );
  }

  /** A derived table `x` of these columns, and of the key's hash `kh` where it is needed, over the scope's rows. */
  #from(
    columns: string[],
    scope: Scope,
    needsKeyHash = false,
    join = '',
  ): { from: string } & Pick<SourceQuery, 'parameters'> {
    const range =
      scope.kind === 'range' ? rangeCondition(this.#plan, scope) : { condition: '', parameters: [] };
    const all = needsKeyHash || scope.kind === 'hashes' ? [`${this.#keyHash} AS kh`, ...columns] : columns;
    const rows =
      `(SELECT ${all.join(', ')} FROM ${quoteTable(this.#plan.source)} AS t${this.#hint}${join}` +
      `${range.condition === '' ? '' : ` WHERE ${range.condition}`}) AS x`;
    if (scope.kind === 'range') return { from: rows, parameters: range.parameters };
    const parameters = scope.intervals.flatMap(([from, to], i) => [
      { name: `from${i}`, value: String(from) },
      { name: `to${i}`, value: String(to) },
    ]);
    const within = scope.intervals.map((_, i) => {
      const first = word('x.kh', 1);
      return `(${first} >= CONVERT(bigint, @from${i}) AND ${first} < CONVERT(bigint, @to${i}))`;
    });
    // Nested once more, for WHERE can't see a name of its own SELECT; the outer table is called x again.
    return { from: `(SELECT * FROM ${rows} WHERE ${within.join(' OR ')}) AS x`, parameters };
  }
}

/** Four bytes of a hash as an unsigned number. */
function word(hash: string, at: number): string {
  return `CONVERT(bigint, SUBSTRING(${hash}, ${at}, 4))`;
}

function totalsOf(row: Record<string, unknown>): Totals {
  const number = (value: unknown): bigint =>
    value === null || value === undefined ? 0n : BigInt(String(value));
  return { rows: number(row.n), first: number(row.s1), second: number(row.s2) };
}
