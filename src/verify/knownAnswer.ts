/**
 * The known-answer test: does a server compute, for every type in use, the hash that the hash tier computes?
 *
 * Runs on the main thread, once per command. What fails is not an error: tables with such a column are read
 * through the hash tier instead. Old servers, other TDS servers and surprises then cost time, never truth.
 */
import type { NulPolicy } from '../copy/text.js';
import { toErrorData } from '../errors.js';
import { createRowHasher } from '../hash/rowHasher.js';
import { hashFields } from '../plan/chunk.js';
import type { PlannedColumn, TablePlan } from '../plan/model.js';
import type { SourceConnection } from '../source/connection.js';
import type { TargetConnection } from '../target/connection.js';
import { CONVERSION_SAMPLES } from '../types/conversionSamples.js';
import { hashedAs, TYPE_SAMPLES, type TypeSamples } from '../types/hashSamples.js';
import { mapColumn } from '../types/index.js';
import { comparedColumns, digits, type HashedExpression, isLong, type SideName } from './hashSql.js';

/** Types whose hash a server gets wrong, and how: `datetime` -> `gives c4ca... for '2024-...'`. */
export type FailedTypes = ReadonlyMap<string, string>;

export interface KnownAnswers {
  source: FailedTypes;
  target: FailedTypes;
}

/** Its longest sample tells whether a server hashes more than 8000 bytes, which SQL Server does since 2016. */
const LONG_TYPE = 'varbinary';

/** Asks one server one type's samples; the answers are 32 hex digits each, in order, the last one for NULL. */
export type AskHashes = (samples: TypeSamples) => Promise<string[]>;

/** @returns what each server gets wrong among the types that these plans hash. */
export async function testKnownAnswers(
  source: Pick<SourceConnection, 'query'>,
  target: Pick<TargetConnection, 'query'>,
  plans: readonly TablePlan[],
): Promise<KnownAnswers> {
  const types = new Set(
    plans.flatMap((plan) => comparedColumns(plan).map((column) => hashedAs(column.source))),
  );
  // Something to ask where only types without an answer are in use: MD5 itself may be missing.
  types.add('int');
  if (plans.some((plan) => isLong(comparedColumns(plan)))) types.add(LONG_TYPE);
  const asked = [...TYPE_SAMPLES, ...CONVERSION_SAMPLES].filter(({ type }) => types.has(type));
  const [ofSource, ofTarget] = await Promise.all([
    failedTypes(asked, (samples) => askSource(source, samples)),
    failedTypes(asked, (samples) => askTarget(target, samples)),
  ]);
  return { source: ofSource, target: ofTarget };
}

async function failedTypes(asked: readonly TypeSamples[], ask: AskHashes): Promise<FailedTypes> {
  const failed = new Map<string, string>();
  for (const samples of asked) {
    const expected = expectedHashes(samples);
    try {
      const answers = await ask(samples);
      const wrong = expected.findIndex((digest, i) => answers[i] !== digest);
      if (wrong >= 0) {
        const value = samples.samples[wrong]?.target ?? 'NULL';
        failed.set(samples.type, `it hashes ${value.slice(0, 40)} to ${answers[wrong] ?? 'nothing'}`);
      }
    } catch (error) {
      const data = toErrorData(error);
      // A lost connection is no answer.
      if (data.code.endsWith('_CONNECTION_LOST')) throw error;
      failed.set(samples.type, data.message);
    }
  }
  return failed;
}

async function askSource(source: Pick<SourceConnection, 'query'>, samples: TypeSamples): Promise<string[]> {
  // `on_nul` makes no difference to samples without a NUL.
  const hash = digits([sampleValue(samples, 'x.[v]')], 'source', 'error' satisfies NulPolicy);
  if (hash === null) return [];
  const { collation } = samples.column;
  // All rows of one column must agree on its collation, also the one without a value.
  const noValue = collation === null ? 'NULL' : `CONVERT(nvarchar(1), NULL) COLLATE ${collation}`;
  const rows = [...samples.samples.map(({ source: value }) => value), noValue].map(
    (value, i) => `SELECT ${i} AS i, CONVERT(${samples.sqlType}, ${value}) AS v`,
  );
  const answers = await source.query(
    `SELECT x.i, ${hash} AS h FROM (${rows.join(' UNION ALL ')}) AS x ORDER BY x.i`,
  );
  return answers.map(({ h }) => String(h));
}

async function askTarget(target: Pick<TargetConnection, 'query'>, samples: TypeSamples): Promise<string[]> {
  const hash = digits([sampleValue(samples, 'x.v')], 'target', 'error' satisfies NulPolicy);
  const { pgType } = mapColumn(samples.column);
  const values = [...samples.samples.map(({ target: value }) => value), null];
  const rows = await target.query<{ h: string }>(
    `SELECT ${hash} AS h FROM (SELECT i, v::${pgType} AS v FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i)) AS x
      ORDER BY x.i`,
    [values],
  );
  return rows.map(({ h }) => h);
}

function sampleValue(samples: TypeSamples, expression: string): HashedExpression {
  return { column: { source: samples.column, nullable: true }, expression };
}

/** @returns the hash tier's own answers: one for each sample, and the one for NULL. */
export function expectedHashes({ column, samples }: Pick<TypeSamples, 'column' | 'samples'>): string[] {
  const { field, pgType } = mapColumn(column);
  const planned: Pick<PlannedColumn, 'field' | 'pgType' | 'hashed'> = { field, pgType, hashed: true };
  const hasher = createRowHasher(hashFields([planned]));
  return [...samples.map((sample) => sample.field), null].map((content) => {
    const bytes = content?.length ?? 0;
    const tuple = Buffer.alloc(2 + 4 + bytes + 4 + 32);
    tuple.writeInt16BE(2, 0);
    tuple.writeInt32BE(content === null ? -1 : bytes, 2);
    content?.copy(tuple, 6);
    tuple.writeInt32BE(32, 6 + bytes);
    hasher.hashSlot(new DataView(tuple.buffer, tuple.byteOffset, tuple.length), 0, tuple.length);
    return tuple.toString('latin1', 10 + bytes);
  });
}

/** @returns why this side can't hash this table's rows itself, or null where it can. */
export function unhashable(plan: TablePlan, side: SideName, answers: KnownAnswers): string | null {
  const failed = answers[side];
  const server = side === 'source' ? 'SQL Server' : 'PostgreSQL';
  for (const { source: column, sourceName } of comparedColumns(plan)) {
    const type = hashedAs(column);
    const reason = failed.get(type);
    if (reason !== undefined) {
      return `${server} does not compute the hash of type ${type} (column ${sourceName}): ${reason}`;
    }
    if (side === 'source' && mapColumn(column).hash.sourceBytes === null) {
      return `${server} can't compute the hash of type ${type} (column ${sourceName})`;
    }
  }
  const long = side === 'source' && isLong(comparedColumns(plan)) ? failed.get(LONG_TYPE) : undefined;
  if (long !== undefined) return `${server} does not compute hashes of more than 8000 bytes: ${long}`;
  const md5 = failed.get('int');
  return md5 === undefined ? null : `${server} does not compute the hash of type int: ${md5}`;
}
