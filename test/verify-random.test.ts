/**
 * Random tables, random rows, random edits on both sides: what verify reports is exactly what is known to differ,
 * and after upsert nothing does.
 * Seeds are fixed; a failure names its seed and round.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runMigration } from '../src/engine/run.js';
import { randomFrom } from './support/random.js';
import { threads } from './support/threads.js';
import { expected, found, type Migrated, migrated, verifyAll } from './support/verifying.js';

const TABLES = 14;
const ROUNDS = 8;
const MAX_KEY = 90;

/** A value as both servers write it. */
type Literal = readonly [source: string, target: string];

/** Key columns: the n-th key and its text in reports, lower case. */
const keyTypes: { type: string; literal(n: number): Literal; text(n: number): string }[] = [
  { type: 'int', literal: (n) => [`${n - 40}`, `${n - 40}`], text: (n) => `${n - 40}` },
  {
    type: 'bigint',
    literal: (n) => [big(n), big(n)],
    text: (n) => big(n),
  },
  {
    type: 'decimal(9,3)',
    literal: (n) => [`${((n - 40) / 8).toFixed(3)}`, `${((n - 40) / 8).toFixed(3)}`],
    text: (n) => ((n - 40) / 8).toFixed(3),
  },
  { type: 'date', literal: (n) => [`'${day(n)}'`, `'${day(n)}'`], text: day },
  { type: 'uniqueidentifier', literal: (n) => [`'${guid(n)}'`, `'${guid(n)}'`], text: guid },
  { type: 'nvarchar(20)', literal: (n) => [`N'${word(n)}'`, `'${word(n)}'`], text: word },
  { type: 'varchar(20)', literal: (n) => [`'v-${n}'`, `'v-${n}'`], text: (n) => `v-${n}` },
  { type: 'binary(2)', literal: (n) => [`0x00${hex(n)}`, `'\\x00${hex(n)}'`], text: (n) => `00${hex(n)}` },
];
function big(n: number): string {
  return String((n - 40) * 1e9);
}
function day(n: number): string {
  return new Date(Date.UTC(1999, 10, 1 + 3 * n)).toISOString().slice(0, 10);
}
function hex(n: number): string {
  return n.toString(16).padStart(2, '0');
}
function guid(n: number): string {
  return `${hex(n)}0000ff-0000-4000-8000-0000000000${hex(255 - n)}`;
}
function word(n: number): string {
  return `${'aäzЖ-日'[n % 6]}${n}`;
}

const same = (...texts: string[]): Literal[] => texts.map((text) => [text, text]);
/** Value columns: values that all differ, NULL among them. */
const valueTypes: { type: string; values: Literal[] }[] = [
  {
    type: 'bit',
    values: [
      ['0', 'false'],
      ['1', 'true'],
      ['NULL', 'NULL'],
    ],
  },
  { type: 'tinyint', values: same('0', '7', '255', 'NULL') },
  { type: 'int', values: same('0', '-1', '2147483647', 'NULL') },
  { type: 'decimal(12,4)', values: same('0', '0.05', '0.06', '-0.0001', 'NULL') },
  { type: 'money', values: same('0', '0.05', '-12.3456', 'NULL') },
  { type: 'float', values: same('0', '1e-5', '-1.5e300', 'NULL') },
  { type: 'date', values: same("'0001-01-01'", "'2024-02-29'", 'NULL') },
  { type: 'datetime', values: same("'2024-02-29T12:00:00.003'", "'2024-02-29T12:00:00.007'", 'NULL') },
  {
    type: 'datetime2(7)',
    values: same("'2024-02-29T12:00:00.000001'", "'1969-12-31T23:59:59.999999'", 'NULL'),
  },
  {
    type: 'datetimeoffset(3)',
    values: same("'2024-02-29T12:00:00.125+02:00'", "'2024-02-29T12:00:00.125+00:00'", 'NULL'),
  },
  {
    type: 'nvarchar(30)',
    values: [...same('NULL', "'a|b'", "'?'", "''", "'a '"), ["N'Ж'", "'Ж'"], ["N'😀'", "'😀'"]],
  },
  { type: 'varchar(max)', values: same('NULL', "''", "'long'", "'Long'") },
  { type: 'char(4)', values: same('NULL', "'a'", "'ab'", "'abcd'") },
  {
    type: 'varbinary(8)',
    values: [
      ['NULL', 'NULL'],
      ['0x', "'\\x'"],
      ['0x00', "'\\x00'"],
      ['0x0000', "'\\x0000'"],
    ],
  },
  {
    type: 'uniqueidentifier',
    values: [
      ['NULL', 'NULL'],
      [`'${guid(1)}'`, `'${guid(1)}'`],
      [`'${guid(2)}'`, `'${guid(2)}'`],
    ],
  },
];

interface Table {
  name: string;
  keys: (typeof keyTypes)[number][];
  columns: (typeof valueTypes)[number][];
  /** Rows of both sides: key number -> numbers of its values. */
  source: Map<number, number[]>;
  target: Map<number, number[]>;
}

const pick = <T>(random: (below: number) => number, list: readonly T[]): T => list[random(list.length)]!;

function randomTable(random: (below: number) => number, index: number): Table {
  const keys = Array.from({ length: 1 + random(3) }, () => pick(random, keyTypes));
  // Every kind of key is there at least once.
  keys[0] = keyTypes[index % keyTypes.length]!;
  const columns = Array.from({ length: 1 + random(6) }, () => pick(random, valueTypes));
  const source = new Map<number, number[]>();
  for (let n = 0; n < MAX_KEY; n++)
    if (random(3) > 0)
      source.set(
        n,
        columns.map(({ values }) => random(values.length)),
      );
  return {
    name: `R${index}`,
    keys,
    columns,
    source,
    target: new Map([...source].map(([n, row]) => [n, [...row]])),
  };
}

const side = { source: 0, target: 1 } as const;
type SideName = keyof typeof side;

function insert(table: Table, at: SideName, n: number, row: number[]): string {
  const values = [
    ...table.keys.map((key) => key.literal(n)[side[at]]),
    ...table.columns.map(({ values: known }, i) => known[row[i]!]![side[at]]),
  ];
  return `INSERT INTO ${named(table, at)} VALUES (${values.join(', ')})`;
}

function named(table: Table, at: SideName): string {
  return at === 'source' ? `dbo.${table.name}` : `"${table.name}"`;
}

/** Every key column is a function of the key's number: the first alone identifies the row. */
function where(table: Table, at: SideName, n: number): string {
  return `WHERE ${at === 'source' ? 'k0' : '"k0"'} = ${table.keys[0]!.literal(n)[side[at]]}`;
}

function create(table: Table): string {
  const keys = table.keys.map(({ type }, i) => `k${i} ${type} NOT NULL`);
  const columns = table.columns.map(({ type }, i) => `c${i} ${type} NULL`);
  const key = table.keys.map((_, i) => `k${i}`).join(', ');
  return `CREATE TABLE dbo.${table.name} (${[...keys, ...columns].join(', ')}, CONSTRAINT PK_${table.name} PRIMARY KEY (${key}))`;
}

/** One random edit of one side, done to the model as well. @returns its statement */
function edit(random: (below: number) => number, table: Table, at: SideName): string {
  const rows = table[at];
  const n = random(MAX_KEY);
  const row = rows.get(n);
  if (row === undefined) {
    const values = table.columns.map(({ values: known }) => random(known.length));
    rows.set(n, values);
    return insert(table, at, n, values);
  }
  if (random(4) === 0) {
    rows.delete(n);
    return `DELETE FROM ${named(table, at)} ${where(table, at, n)}`;
  }
  const i = random(table.columns.length);
  row[i] = random(table.columns[i]!.values.length);
  const column = at === 'source' ? `c${i}` : `"c${i}"`;
  return `UPDATE ${named(table, at)} SET ${column} = ${table.columns[i]!.values[row[i]!]![side[at]]} ${where(table, at, n)}`;
}

/** What the models say differs. */
function differences({ keys, source, target }: Table): ReturnType<typeof expected> {
  const texts = (numbers: number[]) =>
    numbers
      .map((n) => keys.map((key) => key.text(n)).join(','))
      .sort()
      .join(' ');
  const inserts = texts([...source.keys()].filter((n) => !target.has(n)));
  const deletes = texts([...target.keys()].filter((n) => !source.has(n)));
  const updates = texts(
    [...source].flatMap(([n, row]) => (target.has(n) && target.get(n)!.join() !== row.join() ? [n] : [])),
  );
  return expected({
    ...(inserts !== '' && { insert: inserts }),
    ...(updates !== '' && { update: updates }),
    ...(deletes !== '' && { delete: deletes }),
  });
}

const sorted = (text: string) => text.toLowerCase().replaceAll('\\x', '').split(' ').sort().join(' ');

/** Brings the target up to date by `upsert`, after which verify must find nothing. */
async function mend({ config }: Migrated, tables: readonly Table[]): Promise<void> {
  const migration = { ...config.migration, delete_extra_rows: true, use_hash_detection: false };
  const outcome = await runMigration(
    { ...config, migration: { ...migration, target_mode: 'upsert' } },
    { signal: new AbortController().signal, onEvent: () => {}, threads },
  );
  assert.equal(outcome.error, undefined, JSON.stringify(outcome.error));
  const reports = await verifyAll(config, { tier1Rows: 30, tier2Rows: 7 });
  for (const table of tables) {
    table.target = new Map([...table.source].map(([n, row]) => [n, [...row]]));
    const { status } = reports.get(`dbo.${table.name}`)!;
    assert.equal(status, 'match', `after upsert: ${create(table)}`);
  }
}

for (const seed of [1, 20_101]) {
  let both: Migrated;
  const random = randomFrom(seed);
  const tables = Array.from({ length: TABLES }, (_, i) => randomTable(random, i));
  before(async () => {
    both = await migrated([
      tables.map(create).join(';\nGO\n'),
      tables
        .map((table) => [...table.source].map(([n, row]) => insert(table, 'source', n, row)).join(';\n'))
        .join('\nGO\n'),
    ]);
    await both.client.query(tables.map(({ name }) => `ALTER TABLE "${name}" DROP COLUMN row_hash`).join(';'));
  });
  after(() => both?.stop());

  test(`seed ${seed}: ${ROUNDS} rounds of edits on ${TABLES} tables`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const inSource: string[] = [];
      const inTarget: string[] = [];
      for (const table of tables) {
        for (let edits = random(4); edits > 0; edits--) {
          if (random(2) === 0) inSource.push(edit(random, table, 'source'));
          else inTarget.push(edit(random, table, 'target'));
        }
      }
      if (inSource.length > 0) await both.inSource(inSource.join(';\n'));
      if (inTarget.length > 0) await both.client.query(inTarget.join(';\n'));
      const reports = await verifyAll(both.config, { tier1Rows: 30, tier2Rows: 1 + random(10) });
      for (const table of tables) {
        const report = reports.get(`dbo.${table.name}`)!;
        const seen = found(report);
        const wanted = differences(table);
        const description = `seed ${seed}, round ${round}: ${create(table)}`;
        for (const what of ['insert', 'update', 'delete'] as const) {
          assert.equal(sorted(seen[what]!), sorted(wanted[what]), `${description}: ${what}`);
        }
        assert.equal(seen.status, wanted.status, description);
        assert.equal(report.sourceRows, BigInt(table.source.size), description);
        assert.equal(report.targetRows, BigInt(table.target.size), description);
      }
      // Every other round is mended; the edits of the others add up.
      if (round % 2 === 1) await mend(both, tables);
    }
  });
}
