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
  type HashGroups,
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
  /** Rows that a range has, about. */
  rangeRows: number;
}

export class HashingSource implements Side, GroupingSide {
  readonly streamed = false;
  readonly #source: SourceConnection;
  readonly #plan: TablePlan;
  readonly #keyHash: string;
  readonly #digest: string;
  readonly #hint: string;
  readonly #rangeRows: number;

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
    this.#rangeRows = options.rangeRows;
    this.#hint = options.isolation === 'read_uncommitted' ? ' WITH (NOLOCK)' : '';
  }

  async probe(): Promise<void> {
    const { from } = this.#from([`${this.#digest} AS h`], WHOLE, true);
    await this.#source.query(`SELECT TOP (0) x.kh, x.h FROM ${from}`);
  }

  async totals(scope: Scope): Promise<Totals> {
    const { from, parameters } = this.#from([`${this.#digest} AS h`], scope);
    const sql = `SELECT ${this.#sums()} FROM ${from}`;
    const [row] = await this.#source.query(sql, parameters, this.#rowsOf(scope));
    return totalsOf(row ?? {});
  }

  hashTotals(bits: number, scope: Scope): Promise<Buffer> {
    const { from, parameters } = this.#from([`${this.#digest} AS h`], scope, true);
    const grouped = `(SELECT ${word('x.kh', 1)} / CONVERT(bigint, @size) AS g, x.h FROM ${from}) AS x`;
    const size = { name: 'size', value: String(2 ** (32 - bits)) };
    return this.#packedTotals(grouped, [...parameters, size], 'x.g', null, this.#rowsOf(scope));
  }

  get grouping(): GroupingSide | null {
    return hasIntegerKey(this.#plan) ? this : null;
  }

  groupTotals(size: bigint, within: KeyRange, located: boolean): Promise<Buffer> {
    const { from, parameters } = this.#from([`${this.#bigKey()} AS k`, `${this.#digest} AS h`], within);
    return this.#packedTotals(
      from,
      [...parameters, { name: 'size', value: String(size) }],
      'x.k / CONVERT(bigint, @size)',
      located ? 'x.k % CONVERT(bigint, @size)' : null,
      this.#rowsOf(within),
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
    const rows = await readPackedRows(this.#source, sql, parameters, INTEGER_ROW_BYTES, 0);
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
    for await (const rows of readRows(this.#source, sql, parameters, this.#rowsOf(scope))) {
      yield rows.map((row) => ({
        key: key.map((_, i) => String(row[`k${i}`])),
        keyHash: String(row.kh),
        digest: String(row.h),
      }));
    }
  }

  /** @param place what a row's words are multiplied with for located totals, or null: plain ones */
  #packedTotals(
    from: string,
    parameters: SourceQuery['parameters'],
    group: string,
    place: string | null,
    rows: number,
  ): Promise<Buffer> {
    const words = [word('x.h', 1), word('x.h', 5)];
    const placed = place === null ? [] : words.map((one) => `${one} * (${place})`);
    const sums = [...words, ...placed].map((value) => `SUM(${value})`);
    const numbers = [group, 'COUNT_BIG(*)', ...sums].map((number) => `CONVERT(binary(8), ${number})`);
    const sql = `SELECT ${numbers.join(' + ')} AS p FROM ${from} GROUP BY ${group}`;
    return readPackedRows(this.#source, sql, parameters, totalsBytes(place !== null), rows);
  }

  /** @returns how many rows the source hashes before it answers, about */
  #rowsOf(scope: Scope): number {
    const { lower, upper } = scope.kind === 'range' ? scope : scope.within;
    const { approximateRows } = this.#plan;
    return lower === null && upper === null ? approximateRows : Math.min(approximateRows, this.#rangeRows);
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
    const range = rangeCondition(this.#plan, scope.kind === 'range' ? scope : scope.within);
    const all = needsKeyHash || scope.kind === 'hashes' ? [`${this.#keyHash} AS kh`, ...columns] : columns;
    const rows =
      `(SELECT ${all.join(', ')} FROM ${quoteTable(this.#plan.source)} AS t${this.#hint}${join}` +
      `${range.condition === '' ? '' : ` WHERE ${range.condition}`}) AS x`;
    if (scope.kind === 'range') return { from: rows, parameters: range.parameters };
    const { condition, parameters } = groupCondition(scope);
    // Nested once more, for WHERE can't see a name of its own SELECT; the outer table is called x again.
    const group = `${word('x.kh', 1)} / CONVERT(bigint, @width)`;
    return {
      from: `(SELECT x.* FROM (SELECT x.*, ${group} AS g FROM ${rows}) AS x WHERE ${condition}) AS x`,
      parameters: [...range.parameters, ...parameters],
    };
  }
}

/** Groups a character stands for, from this one on: far from surrogates, and from those that collations ignore. */
const CHARACTER_GROUPS = 14;
const FIRST_CHARACTER = 0x4000;
/** Characters of a parameter: as many as a nvarchar has that is not of the (max) kind. */
const PARAMETER_CHARACTERS = 4000;

/** The condition that keeps to the groups, by their numbers `x.g`: bits of characters, so that a row is one lookup. */
function groupCondition({
  bits,
  groups,
}: HashGroups): { condition: string } & Pick<SourceQuery, 'parameters'> {
  const characters = new Uint16Array(Math.ceil(2 ** bits / CHARACTER_GROUPS)).fill(FIRST_CHARACTER);
  for (const group of groups) {
    characters[Math.floor(group / CHARACTER_GROUPS)]! |= 1 << (group % CHARACTER_GROUPS);
  }
  const parameters = [{ name: 'width', value: String(2 ** (32 - bits)) }];
  const texts: string[] = [];
  for (let at = 0; at < characters.length; at += PARAMETER_CHARACTERS) {
    parameters.push({
      name: `groups${texts.length}`,
      value: String.fromCharCode(...characters.subarray(at, at + PARAMETER_CHARACTERS)),
    });
    texts.push(`@groups${texts.length}`);
  }
  const each = CHARACTER_GROUPS * PARAMETER_CHARACTERS;
  const text =
    texts.length === 1
      ? texts[0]
      : `CASE x.g / ${each} ${texts.map((name, i) => `WHEN ${i} THEN ${name}`).join(' ')} END`;
  const character = `SUBSTRING(${text}, CONVERT(int, x.g % ${each} / ${CHARACTER_GROUPS}) + 1, 1)`;
  const bit = `POWER(2, CONVERT(int, x.g % ${CHARACTER_GROUPS}))`;
  return { condition: `UNICODE(${character}) & ${bit} <> 0`, parameters };
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
