/** What planning asks and says, without servers: exact statements, bounds, quoted names, columns that fit. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import { keysQuery } from '../src/plan/keysQuery.js';
import type { TablePlan } from '../src/plan/model.js';
import { partitionCount, planPartitions, rangesBetween, thinOut } from '../src/plan/partitions.js';
import { boundaryQuery, rangeColumns, readQuery } from '../src/plan/queries.js';
import { quote, quoteTable } from '../src/source/sql.js';
import { incompatibility } from '../src/target/compatible.js';
import { copyStatement, createTable } from '../src/target/ddl.js';
import { TestPump } from './support/pump.js';
import { planOne, sourceColumn } from './support/sourceTables.js';
import { answer, collation, typeInfo, u32 } from './support/wire.js';

const isolation = 'read_committed';

const pair = planOne({
  schema: 'sales',
  name: 'Order]s',
  columns: [
    sourceColumn('Region', 'nvarchar', { maxLengthBytes: 20, collation: 'Latin1_General_CI_AS' }),
    sourceColumn('Id', 'int'),
    sourceColumn('Note', 'nvarchar', { maxLengthBytes: -1, nullable: true }),
  ],
  key: ['Region', 'Id'],
});

describe('the read query', () => {
  test('a whole table in key order', () => {
    const whole = { lower: null, upper: null };
    assert.deepEqual(readQuery(pair, whole, { isolation }), {
      sql: 'SELECT [Region], [Id], [Note] FROM [sales].[Order]]s] AS t ORDER BY t.[Region], t.[Id]',
      parameters: [],
    });
  });

  test('NOLOCK only where it was asked for', () => {
    const whole = { lower: null, upper: null };
    assert.match(
      readQuery(pair, whole, { isolation: 'read_uncommitted' }).sql,
      / AS t WITH \(NOLOCK\) ORDER/,
    );
    assert.doesNotMatch(readQuery(pair, whole, { isolation: 'snapshot' }).sql, /NOLOCK/);
  });

  test('a composite range is lexicographic, its bounds typed parameters', () => {
    const query = readQuery(pair, { lower: ['a', '1'], upper: ["b'; DROP", '2'] }, { isolation });
    const [region, id] = rangeColumns(pair) ?? [];
    assert.ok(region && id);
    const [lo0, lo1, hi0, hi1] = [
      region.text.fromText('@lo0'),
      id.text.fromText('@lo1'),
      region.text.fromText('@hi0'),
      id.text.fromText('@hi1'),
    ];
    assert.ok(
      query.sql.endsWith(
        ` WHERE (t.[Region] >= ${lo0} AND (t.[Region] > ${lo0} OR t.[Id] > ${lo1}))` +
          ` AND (t.[Region] <= ${hi0} AND (t.[Region] < ${hi0} OR t.[Id] <= ${hi1}))` +
          ' ORDER BY t.[Region], t.[Id]',
      ),
      query.sql,
    );
    assert.deepEqual(query.parameters, [
      { name: 'lo0', value: 'a' },
      { name: 'lo1', value: '1' },
      { name: 'hi0', value: "b'; DROP" },
      { name: 'hi1', value: '2' },
    ]);
    assert.match(id.text.fromText('@p'), /CONVERT\(int, @p\)/);
  });

  test('without a key there is no order, and no range can be asked for', () => {
    const heap = planOne({ name: 'Heap', columns: [sourceColumn('A', 'int')] });
    const query = readQuery(heap, { lower: null, upper: null }, { isolation });
    assert.equal(query.sql, 'SELECT [A] FROM [dbo].[Heap] AS t');
    assert.throws(() => readQuery(heap, { lower: ['1'], upper: null }, { isolation }), AppError);
  });

  test('the bounds say what a tuple comparison says, for keys of one to four columns', () => {
    // The SQL text, evaluated as JavaScript over small integers, against a plain comparison of arrays.
    const compare = (a: number[], b: number[]): number => {
      const at = a.findIndex((value, index) => value !== b[index]);
      return at === -1 ? 0 : a[at]! - b[at]!;
    };
    const digit = fc.integer({ min: 0, max: 2 });
    const rows = fc
      .integer({ min: 1, max: 4 })
      .chain((length) =>
        fc.tuple(...[0, 1, 2].map(() => fc.array(digit, { minLength: length, maxLength: length }))),
      );
    fc.assert(
      fc.property(rows, ([row, lower, upper]) => {
        assert.ok(row && lower && upper);
        const names = row.map((_, index) => `k${index}`);
        const plan = planOne({ columns: names.map((name) => sourceColumn(name, 'int')), key: names });
        const query = readQuery(plan, { lower: lower.map(String), upper: upper.map(String) }, { isolation });
        const values = new Map(query.parameters.map(({ name, value }) => [`@${name}`, value]));
        const condition = /WHERE (.*) ORDER BY/.exec(query.sql)?.[1] ?? '';
        const script = condition
          .replace(/t\.\[k(\d)\]/g, (_, index) => String(row[Number(index)]))
          .replace(/CONVERT\(int, (@\w+)\)/g, (_, name) => values.get(name) ?? '?')
          .replaceAll(' AND ', ' && ')
          .replaceAll(' OR ', ' || ');
        assert.match(script, /^[\d<>=&| ()]+$/);
        const holds = new Function(`return ${script};`)() as boolean;
        assert.equal(holds, compare(row, lower) > 0 && compare(row, upper) <= 0, script);
      }),
    );
  });
});

describe('partitions', () => {
  const limits = { largeTableThreshold: 1000, maxPartitions: 4, minRowsPerPartition: 100 };
  const big = { ...pair, approximateRows: 10_000 };

  test('the boundary query numbers rows over the unique key and takes every n-th', () => {
    const key = rangeColumns(big);
    assert.ok(key);
    const query = boundaryQuery(big, key, 2500);
    assert.equal(
      query.sql,
      `SELECT ${key[0]?.text.toText('x.[k0]')} AS k0, ${key[1]?.text.toText('x.[k1]')} AS k1 FROM (` +
        'SELECT t.[Region] AS [k0], t.[Id] AS [k1], ROW_NUMBER() OVER (ORDER BY t.[Region], t.[Id]) AS rn ' +
        'FROM [sales].[Order]]s] AS t) AS x WHERE x.rn % CONVERT(bigint, @step) = 0 ORDER BY x.rn',
    );
    assert.deepEqual(query.parameters, [{ name: 'step', value: '2500' }]);
  });

  test('how many partitions a table gets', () => {
    assert.equal(partitionCount(999, limits), 1);
    assert.equal(partitionCount(1000, limits), 4);
    assert.equal(partitionCount(1000, { ...limits, minRowsPerPartition: 400 }), 2);
    assert.equal(partitionCount(1000, { ...limits, minRowsPerPartition: 5000 }), 1);
  });

  test('bounds become ranges open at both ends', async () => {
    const rows = ['a', 'b', 'b', 'c'].map((k0, index) => ({ k0, k1: index === 2 ? '2' : `${index + 1}` }));
    const source = { query: async () => rows };
    assert.deepEqual(await planPartitions(source, { ...big, index: 7 }, limits), [
      { table: 7, partition: 0, lower: null, upper: ['a', '1'] },
      { table: 7, partition: 1, lower: ['a', '1'], upper: ['b', '2'] },
      { table: 7, partition: 2, lower: ['b', '2'], upper: ['c', '4'] },
      { table: 7, partition: 3, lower: ['c', '4'], upper: null },
    ]);
  });

  test('small tables, tables without a key, and keys that bound no range stay whole', async () => {
    const source = { query: () => assert.fail('asked the source') };
    const whole = [{ table: 0, partition: 0, lower: null, upper: null }];
    assert.deepEqual(await planPartitions(source, { ...big, index: 0, approximateRows: 10 }, limits), whole);
    assert.deepEqual(await planPartitions(source, { ...big, index: 0, keyColumns: [] }, limits), whole);
    const unordered = planOne({
      columns: [sourceColumn('V', 'sql_variant', { maxLengthBytes: 8016 })],
      key: ['V'],
      approximateRows: 10_000,
    });
    if (rangeColumns(unordered) === null) {
      assert.deepEqual(await planPartitions(source, unordered, limits), whole);
    }
  });

  test('ranges cover every key exactly once, however the bounds lie', () => {
    const sorted = fc.uniqueArray(fc.integer({ min: 0, max: 50 })).map((keys) => keys.sort((a, b) => a - b));
    fc.assert(
      fc.property(
        sorted,
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: -5, max: 55 }),
        (keys, most, key) => {
          const bounds = thinOut(
            keys.map((bound) => [String(bound)]),
            most,
          );
          assert.ok(bounds.length <= most && new Set(bounds.map(String)).size === bounds.length);
          const holding = rangesBetween(0, bounds).filter(
            ({ lower, upper }) =>
              (lower === null || key > Number(lower[0])) && (upper === null || key <= Number(upper[0])),
          );
          assert.equal(holding.length, 1);
        },
      ),
    );
  });
});

describe('names and statements', () => {
  test('names are quoted on both sides', () => {
    assert.equal(quote('a]b'), '[a]]b]');
    assert.equal(quoteTable({ schema: 'x.y', name: "o'k" }), "[x.y].[o'k]");
    const plan = planOne(
      {
        name: 'Or"der',
        columns: [sourceColumn('select', 'int'), sourceColumn('b c', 'bit', { nullable: true })],
      },
      { unlogged: true, rowHashColumn: 'row_hash' },
    );
    assert.equal(
      createTable(plan),
      'CREATE UNLOGGED TABLE "public"."Or""der" (\n  "select" integer NOT NULL,\n  "b c" boolean,\n  "row_hash" varchar(32)\n)',
    );
    assert.equal(
      copyStatement(plan),
      'COPY "public"."Or""der" ("select", "b c", "row_hash") FROM STDIN (FORMAT binary)',
    );
    assert.match(copyStatement(plan, 'text'), /\(FORMAT text\)$/);
  });

  test('existing columns take exactly the planned values, or are refused', () => {
    const cases: [string, string, boolean][] = [
      ['varchar(50)', 'character varying(50)', true],
      ['varchar(50)', 'character varying(49)', false],
      ['varchar(50)', 'text', true],
      ['varchar(50)', 'character varying', true],
      ['text', 'character varying(9999)', false],
      ['char(10)', 'character(10)', true],
      ['char(1)', 'character(1)', true],
      ['char(10)', 'character(11)', false],
      ['char(10)', 'text', true],
      ['text', 'character(10)', false],
      ['integer', 'integer', true],
      ['integer', 'bigint', false],
      ['bigint', 'integer', false],
      ['numeric(19,4)', 'numeric(19,4)', true],
      ['numeric(19,4)', 'numeric', true],
      ['numeric(19,4)', 'numeric(18,4)', false],
      ['numeric(19,4)', 'numeric(19,2)', false],
      ['numeric(19,4)', 'numeric(20,5)', true],
      ['numeric(19,4)', 'numeric(19,5)', false],
      ['timestamp', 'timestamp without time zone', true],
      ['timestamp', 'timestamp(3) without time zone', false],
      ['timestamp(3)', 'timestamp(3) without time zone', true],
      ['timestamp', 'timestamp with time zone', false],
      ['timestamptz', 'timestamp with time zone', true],
      ['time', 'time without time zone', true],
      ['double precision', 'real', false],
      ['uuid', 'uuid', true],
      ['boolean', 'boolean', true],
      ['bytea', 'text', false],
    ];
    for (const [planned, existing, fits] of cases) {
      assert.equal(incompatibility(planned, existing) === null, fits, `${planned} into ${existing}`);
    }
  });
});

test('a chunk that ends with a row larger than the window reaches up to its key, and the last one to the range’s end', async () => {
  const plan = planOne({
    columns: [
      sourceColumn('Id', 'int'),
      sourceColumn('Body', 'nvarchar', { maxLengthBytes: -1, nullable: true }),
    ],
    key: ['Id'],
  });
  const wire = [
    { name: 'Id', info: typeInfo.plain(0x38), frame: 'fixed' as const },
    { name: 'Body', info: typeInfo.text(0xe7, 0xffff, collation(0x409)), frame: 'plp' as const },
  ];
  const body = { bytes: Buffer.alloc(60_000, 'x\0') };
  const rows = [7, 8, 9].map((id) => ({ values: [{ bytes: u32(id) }, body] }));
  const pieces = [answer(wire, rows)];
  const { chunks, uppers } = await new TestPump().run({ ...plan, chunkRows: 2 }, pieces, 'error', {
    upper: ['99'],
  });
  assert.deepEqual(
    [chunks, uppers],
    [
      [2, 1],
      [['8'], ['99']],
    ],
  );
});

describe('keys whose text several byte strings have', () => {
  // NEC and IBM each have a pair for it in cp932, ED40 and FA5C, and binary collations order the bytes.
  const twofold = '\u7e8a';
  const keyed = (type: string, collation: string) =>
    planOne({
      columns: [sourceColumn('K', type, { maxLengthBytes: 20, collation }), sourceColumn('N', 'int')],
      key: ['K', 'N'],
      approximateRows: 10_000,
    });
  const binary = keyed('varchar', 'Japanese_BIN2');

  test('bound no partition', async () => {
    const limits = { largeTableThreshold: 1000, maxPartitions: 4, minRowsPerPartition: 100 };
    const source = { query: async () => ['a', `b${twofold}`, 'c'].map((k0) => ({ k0, k1: '1' })) };
    const bounds = async (plan: TablePlan) =>
      (await planPartitions(source, plan, limits)).map(({ upper }) => upper?.[0]);
    assert.deepEqual(await bounds(binary), ['a', 'c', undefined]);
    for (const plan of [keyed('varchar', 'Japanese_CI_AS'), keyed('nvarchar', 'Japanese_BIN2')]) {
      assert.deepEqual(await bounds(plan), ['a', `b${twofold}`, 'c', undefined]);
    }
    const ten = { query: async () => ['\u5341', twofold].map((k0) => ({ k0, k1: '1' })) };
    const chinese = await planPartitions(ten, keyed('char', 'Chinese_Taiwan_Stroke_BIN'), limits);
    assert.deepEqual(
      chinese.map(({ upper }) => upper),
      [[twofold, '1'], null],
    );
  });

  test('end no chunk', async () => {
    const wire = [
      { name: 'K', info: typeInfo.text(0xa7, 20, collation(0x411)), frame: 'ushort' as const },
      { name: 'N', info: typeInfo.plain(0x38), frame: 'fixed' as const },
    ];
    const keys = ['61', '62', 'ed40', 'fa5c', '63', 'ed40', '64'];
    const rows = keys.map((key, i) => ({ values: [{ bytes: Buffer.from(key, 'hex') }, { bytes: u32(i) }] }));
    const whole = { upper: null };
    const { error, chunks, uppers } = await new TestPump().run(
      { ...binary, chunkRows: 3 },
      [answer(wire, rows)],
      'error',
      whole,
    );
    assert.equal(error, null);
    assert.deepEqual(
      [chunks, uppers],
      [
        [5, 2],
        [['c', '4'], null],
      ],
    );
  });

  test('are asked for by what they mean', () => {
    const query = (key: string) =>
      keysQuery(
        binary,
        [
          ['a', '1'],
          [key, '2'],
        ],
        { isolation },
      ).sql;
    assert.match(
      query('b'),
      /\(CONVERT\(varchar\(20\), @k1_0 COLLATE Japanese_BIN2\), .* ON t\.\[K\] = w\.k0 AND/,
    );
    assert.match(
      query(twofold),
      /\(@k1_0 COLLATE Latin1_General_BIN2, .* ON CONVERT\(nvarchar\(max\), t\.\[K\]\) COLLATE Latin1_General_BIN2 = w\.k0 AND t\.\[N\] = w\.k1/,
    );
  });
});
