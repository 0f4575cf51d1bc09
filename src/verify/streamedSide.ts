/**
 * A side whose server can't hash: its rows are streamed through the hash tier, or through the hasher at hand.
 *
 * Main thread. Each question reads the whole scope again, which costs time and no truth.
 */
import { hash } from 'node:crypto';
import { fieldToText } from '../copy/fieldText.js';
import type { NulPolicy } from '../copy/text.js';
import { numericTextBytes, writeNumericText } from '../hash/numericText.js';
import { createRowHasher } from '../hash/rowHasher.js';
import { type HashField, hashFields } from '../plan/chunk.js';
import type { PlannedColumn, SourceQuery, TablePlan } from '../plan/model.js';
import { readQuery } from '../plan/queries.js';
import type { SourceIsolation } from '../source/connection.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { readTuples } from '../target/rows.js';
import { type CollectedRow, TupleCollector } from './collect.js';
import { TotalsPacker } from './groupTotals.js';
import { bitmapOf } from './hashGroups.js';
import { targetRange } from './hashingTarget.js';
import { asSent, comparedColumns, keyColumns, sentValue } from './hashSql.js';
import {
  type HashGroups,
  type KeyedDigest,
  type KeyRange,
  NO_ROWS,
  type Scope,
  type Side,
  type Totals,
} from './side.js';

/** The rows of a query, read and hashed as `plan` says; the engine's reader and hash workers do it. */
export interface StreamSource {
  rows(plan: TablePlan, query: SourceQuery): AsyncIterable<CollectedRow[]>;
  /** Sums over the rows' hashes, none of which leaves the hash worker. */
  totals(plan: TablePlan, query: SourceQuery): Promise<Totals>;
}

export interface StreamedOptions {
  trustRowHash: boolean;
  nul: NulPolicy;
  isolation: SourceIsolation;
}

/** The rows of a key range, with the hash that `comparisonPlan` asks for. */
interface RangeReader {
  rows(range: KeyRange): AsyncIterable<CollectedRow[]>;
  /** Sums of these hashes; asked for where they are the digests. */
  totals(range: KeyRange): Promise<Totals>;
}

/** A row as it came, with what tells it apart; all hashes 32 lower-case hex digits. */
interface DigestedRow extends Pick<CollectedRow, 'key'>, Pick<KeyedDigest, 'keyHash' | 'digest'> {}

export class StreamedSide implements Side {
  readonly streamed = true;
  readonly grouping = null;
  readonly #reader: RangeReader;
  readonly #key: readonly HashField[];
  readonly #trustRowHash: boolean;

  constructor(plan: TablePlan, reader: RangeReader, options: Pick<StreamedOptions, 'trustRowHash'>) {
    this.#reader = reader;
    this.#key = hashFields(keyColumns(plan));
    this.#trustRowHash = options.trustRowHash;
  }

  /** Reading takes no statement that copying the table does not. */
  async probe(): Promise<void> {}

  async totals(scope: Scope): Promise<Totals> {
    // Where stored row hashes are compared, the digest is made of them and the key.
    if (scope.kind === 'range' && !this.#trustRowHash) return this.#reader.totals(scope);
    let sum = NO_ROWS;
    for await (const rows of this.#digested(scope)) for (const { digest } of rows) sum = plus(sum, digest);
    return sum;
  }

  async hashTotals(bits: number, scope: Scope): Promise<Buffer> {
    const totals = new TotalsPacker(2 ** bits);
    for await (const rows of this.#digested(scope)) {
      for (const { keyHash, digest } of rows) {
        totals.add(wordOf(keyHash, 0) >>> (32 - bits), wordOf(digest, 0), wordOf(digest, 1));
      }
    }
    return totals.packed();
  }

  async *digests(scope: Scope): AsyncGenerator<KeyedDigest[], void, void> {
    const all: DigestedRow[] = [];
    for await (const rows of this.#digested(scope)) for (const row of rows) all.push(row);
    all.sort((a, b) => ordered(a.keyHash, b.keyHash) || ordered(a.digest, b.digest));
    for (let at = 0; at < all.length; at += 1000) {
      yield all.slice(at, at + 1000).map(({ key, keyHash, digest }) => ({
        key: this.#key.map(({ field }, i) => keyText(field, key[i] ?? null)),
        keyHash,
        digest,
      }));
    }
  }

  async *#digested(scope: Scope): AsyncGenerator<DigestedRow[], void, void> {
    const isWanted = scope.kind === 'range' ? null : membership(scope);
    for await (const rows of this.#reader.rows(scope.kind === 'range' ? scope : scope.within)) {
      const digested: DigestedRow[] = [];
      for (const { key, hash: rowHash } of rows) {
        const canonical = canonicalKey(this.#key, key);
        const keyHash = hash('md5', canonical);
        if (isWanted !== null && !isWanted(keyHash)) continue;
        const digest = this.#trustRowHash
          ? hash('md5', Buffer.concat([canonical, Buffer.from(rowHash.trimEnd(), 'latin1')]))
          : rowHash;
        digested.push({ key, keyHash, digest });
      }
      yield digested;
    }
  }
}

/** A source whose rows go through the hash tier. */
export function streamedSource(plan: TablePlan, stream: StreamSource, options: StreamedOptions): Side {
  const compared = comparisonPlan(plan, options.trustRowHash);
  const query = (range: KeyRange) => readQuery(compared, range, options);
  const reader: RangeReader = {
    rows: (range) => stream.rows(compared, query(range)),
    totals: (range) => stream.totals(compared, query(range)),
  };
  return new StreamedSide(plan, reader, options);
}

/** The plan of reading what a comparison needs: key and hashed columns, hashed together unless row hashes are compared. */
export function comparisonPlan(plan: TablePlan, trustRowHash: boolean): TablePlan {
  return {
    ...plan,
    index: 0,
    columns: comparedColumns(plan).map(({ generated, ...column }) => ({
      ...column,
      // The stored row hash knows nothing of what the target computes.
      hashed: generated === undefined ? column.hashed || !trustRowHash : !trustRowHash,
    })),
    chunkRows: 10_000_000,
    rowHashColumn: 'row_hash',
  };
}

/** A target whose rows come by COPY and are hashed here. */
export function streamedTarget(
  target: TargetConnection,
  plan: TablePlan,
  options: { rowHashColumn: string | null },
): Side {
  const { rowHashColumn } = options;
  const reader: RangeReader = {
    rows: (range) => copyRows(target, plan, range, rowHashColumn),
    totals: (range) => copyTotals(target, plan, range),
  };
  const sent = { ...plan, columns: plan.columns.map(asSent) };
  return new StreamedSide(sent, reader, { trustRowHash: rowHashColumn !== null });
}

async function* copyRows(
  target: TargetConnection,
  plan: TablePlan,
  range: KeyRange,
  rowHashColumn: string | null,
): AsyncGenerator<CollectedRow[], void, void> {
  const columns = rowHashColumn === null ? comparisonPlan(plan, false).columns : keyColumns(plan);
  const hasher = rowHashColumn === null ? createRowHasher(hashFields(columns.map(asSent))) : null;
  const collector = new TupleCollector(columns.map(({ keyPosition }) => keyPosition));
  for await (const piece of readTuples(target, ...rangeTuples(plan, columns, range, rowHashColumn))) {
    hasher?.hashSlot(viewOf(piece), 0, piece.length);
    collector.push(piece);
    if (collector.rows.length < 1000) continue;
    yield collector.rows;
    collector.rows = [];
  }
  yield collector.rows;
}

async function copyTotals(target: TargetConnection, plan: TablePlan, range: KeyRange): Promise<Totals> {
  const { columns } = comparisonPlan(plan, false);
  const hasher = createRowHasher(hashFields(columns.map(asSent)));
  let totals = NO_ROWS;
  for await (const piece of readTuples(target, ...rangeTuples(plan, columns, range, null))) {
    const rows = hasher.hashSlot(viewOf(piece), 0, piece.length);
    const { first, second } = hasher.takeSums();
    totals = {
      rows: totals.rows + BigInt(rows),
      first: totals.first + BigInt(first),
      second: totals.second + BigInt(second),
    };
  }
  return totals;
}

/** The query of a range's tuples and the values of its settings; a hash, or room for one, comes last. */
function rangeTuples(
  plan: TablePlan,
  columns: readonly PlannedColumn[],
  range: KeyRange,
  rowHashColumn: string | null,
): [query: string, settings: Map<string, string>] {
  const hash =
    rowHashColumn === null ? `repeat('0', 32)` : `rpad(COALESCE(t.${quoteIdent(rowHashColumn)}, ''), 32)`;
  const { condition, values } = targetRange(plan, range, (n) => `current_setting('mssql_pg_migrate.v${n}')`);
  const query =
    `SELECT ${[...columns.map(sentValue), hash].join(', ')} ` +
    `FROM ${qualified(plan.target)} AS t${condition === '' ? '' : ` WHERE ${condition}`}`;
  return [query, new Map(values.map((value, i) => [`mssql_pg_migrate.v${i + 1}`, value]))];
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The canonical form of a key: what both servers hash. */
function canonicalKey(fields: readonly HashField[], key: readonly (Buffer | null)[]): Buffer {
  const contents = fields.map(({ field, scale }, i) => {
    const content = key[i] ?? null;
    return content !== null && field === 'numeric' ? numericAscii(content, scale ?? 0) : content;
  });
  const canonical = Buffer.allocUnsafe(
    contents.reduce((bytes, content) => bytes + 4 + (content?.length ?? 0), 0),
  );
  let at = 0;
  for (const content of contents) {
    at = canonical.writeInt32BE(content?.length ?? -1, at);
    if (content !== null) at += content.copy(canonical, at);
  }
  return canonical;
}

function numericAscii(content: Buffer, scale: number): Buffer {
  const text = Buffer.alloc(numericTextBytes(scale));
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  return text.subarray(0, writeNumericText(view, 0, content.length, scale, text, 0));
}

function keyText(field: PlannedColumn['field'], content: Buffer | null): string {
  return content === null ? 'NULL' : fieldToText(field, content, 0, content.length);
}

function ordered(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @returns a word of four bytes of a hash, unsigned */
function wordOf(digits: string, word: number): number {
  return Number.parseInt(digits.slice(8 * word, 8 * word + 8), 16);
}

/** @returns whether a key's hash is in one of the groups */
function membership(scope: HashGroups): (keyHash: string) => boolean {
  const bitmap = bitmapOf(scope);
  return (keyHash) => {
    const group = wordOf(keyHash, 0) >>> (32 - scope.bits);
    return ((bitmap[group >> 3]! >> (group & 7)) & 1) === 1;
  };
}

function plus(sum: Totals, digest: string): Totals {
  return {
    rows: sum.rows + 1n,
    first: sum.first + BigInt(wordOf(digest, 0)),
    second: sum.second + BigInt(wordOf(digest, 1)),
  };
}
