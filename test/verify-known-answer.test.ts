/** The known-answer test: PostgreSQL computes every type's hash as the hash tier does, and what it gets wrong is told. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AppError } from '../src/errors.js';
import { planTables } from '../src/plan/tables.js';
import type { SourceColumn } from '../src/source/model.js';
import { connectTarget, type TargetConnection } from '../src/target/connection.js';
import { CONVERSION_SAMPLES } from '../src/types/conversionSamples.js';
import { hashedAs, TYPE_SAMPLES } from '../src/types/hashSamples.js';
import { mapColumn } from '../src/types/index.js';
import { expectedHashes, testKnownAnswers, unhashable } from '../src/verify/knownAnswer.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { sourceColumn, sourceTable } from './support/sourceTables.js';
import { targetOptions } from './support/target.js';

let server: TestPostgres;
let target: TargetConnection;
before(async () => {
  server = await sharedPostgres();
  target = await connectTarget(targetOptions(server.connection, { lock_timeout_seconds: 0 }));
});
after(async () => {
  await target?.close();
  await server?.stop();
});

const planOf = (columns: SourceColumn[]) =>
  planTables([sourceTable({ name: 'T', columns, key: ['Id'] })], {
    naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
    chunkRows: 1,
    rowHashColumn: null,
    hashTextColumns: true,
    unlogged: false,
  });

const everyType = planOf([
  sourceColumn('Id', 'int'),
  ...TYPE_SAMPLES.map(({ column }, i) => ({ ...column, name: `c${i}`, ordinal: i + 2 })),
]);

/** A source that answers with what it is told, type by type. */
const answering = (answer: (sqlType: string, expected: string[]) => string[]) => ({
  async query(sql: string) {
    const samples = TYPE_SAMPLES.find(({ sqlType, samples: [first] }) =>
      sql.includes(`CONVERT(${sqlType}, ${first?.source})`),
    );
    assert.ok(samples, `no samples are asked by ${sql}`);
    return answer(samples.sqlType, expectedHashes(samples)).map((h) => ({ h }));
  },
});

test('PostgreSQL knows the hash of every type', async () => {
  const answers = await testKnownAnswers(
    answering((_type, expected) => expected),
    target,
    everyType,
  );
  assert.deepEqual([...answers.target], []);
  assert.deepEqual([...answers.source], []);
  assert.equal(unhashable(everyType[0]!, 'target', answers), null);
  assert.equal(unhashable(everyType[0]!, 'source', answers), null);
});

test('PostgreSQL knows the hash of every conversion', async () => {
  await target.query('CREATE EXTENSION IF NOT EXISTS citext');
  // PostGIS is not among the binaries that tests run on.
  const asked = CONVERSION_SAMPLES.filter(({ column }) => !column.type.startsWith('geo'));
  const [plan] = planOf([
    sourceColumn('Id', 'int'),
    ...asked.map(({ column }, i) => ({ ...column, name: `c${i}`, ordinal: i + 2 })),
  ]);
  // Of the source only the target's part is asked: its own answers are those of a stand-in in type-conversions.
  const answers = await testKnownAnswers({ query: async () => [] }, target, [plan!]);
  assert.deepEqual([...answers.target], []);
  assert.equal(
    new Set([...answers.source.keys()].filter((type) => type.includes(' as '))).size,
    asked.length,
  );
});

test('every conversion there is has samples', () => {
  const targets =
    `smallint integer bigint numeric(38,10) real text varchar varchar(100) char(36) citext xml bytea
    timestamp timestamp(6) timestamptz timestamptz(6) time(6) date uuid boolean geometry geography`.split(
      /\s+/,
    );
  const sampled = new Set(CONVERSION_SAMPLES.map(({ type }) => type));
  const seen = new Set<string>();
  for (const { column } of [...TYPE_SAMPLES, ...CONVERSION_SAMPLES]) {
    const { as: _, ...own } = column;
    for (const as of [...targets, 'double precision']) {
      const type = hashedAs({ ...own, as });
      try {
        if (mapColumn({ ...own, as }).pgType !== mapColumn(own).pgType) seen.add(type);
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'CONFIG_INVALID', String(error));
      }
    }
  }
  assert.deepEqual(
    [...seen].filter((type) => !sampled.has(type)),
    [],
  );
  assert.ok(seen.size > 50);
});

test('a type that a server hashes wrongly is named, and only tables that have it are affected', async () => {
  const answers = await testKnownAnswers(
    answering((type, expected) => (type === 'datetime' ? expected.map(() => 'f'.repeat(32)) : expected)),
    target,
    everyType,
  );
  assert.deepEqual([...answers.source.keys()], ['datetime']);
  assert.match(unhashable(everyType[0]!, 'source', answers) ?? '', /SQL Server .*datetime.*ffff/);
  assert.equal(unhashable(everyType[0]!, 'target', answers), null);
  const [plain] = planOf([
    sourceColumn('Id', 'int'),
    sourceColumn('Name', 'nvarchar', { maxLengthBytes: 20 }),
  ]);
  assert.equal(unhashable(plain!, 'source', answers), null);
});

test('a server that hashes 8000 bytes at most is not asked for the rows that may have more', async () => {
  const [short, long] = [3000, 5000].flatMap((maxLengthBytes) =>
    planOf([
      sourceColumn('Id', 'int'),
      sourceColumn('A', 'binary', { maxLengthBytes }),
      sourceColumn('B', 'binary', { maxLengthBytes }),
    ]),
  );
  const old = answering((type, expected) => (type === 'varbinary(max)' ? [] : expected));
  const answers = await testKnownAnswers(old, target, [short!, long!]);
  assert.match(unhashable(long!, 'source', answers) ?? '', /more than 8000 bytes/);
  assert.equal(unhashable(long!, 'target', answers), null);
  assert.equal(unhashable(short!, 'source', answers), null);
});

test('a server that can not hash at all, and a type no server hashes', async () => {
  const [variant] = planOf([sourceColumn('Id', 'int'), sourceColumn('V', 'sql_variant')]);
  const refusing = {
    async query(): Promise<never> {
      throw new Error("'HASHBYTES' is not a recognized built-in function name.");
    },
  };
  const answers = await testKnownAnswers(refusing, refusing, [variant!]);
  assert.match(unhashable(variant!, 'target', answers) ?? '', /HASHBYTES/);
  const fine = { source: new Map(), target: new Map() };
  assert.match(unhashable(variant!, 'source', fine) ?? '', /sql_variant/);
  assert.equal(unhashable(variant!, 'target', fine), null);
});
