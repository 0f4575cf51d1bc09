/** Plans of tables, without servers: their order, names and keys, what is noted and refused, and which tables are taken. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AppError } from '../src/errors.js';
import { inCase } from '../src/plan/casing.js';
import { type PlanOptions, planTables } from '../src/plan/tables.js';
import { typeLabel } from '../src/plan/typeLabel.js';
import { filterTables } from '../src/source/filter.js';
import { planOne, planOptions, sourceColumn, sourceTable } from './support/sourceTables.js';

test('a system-versioned table says what ends with it', () => {
  assert.match(planOne({ key: ['Id'], versioned: true }).notes.join('\n'), /PostgreSQL keeps no history/);
  assert.deepEqual(planOne({ key: ['Id'] }).notes, []);
});

describe('table plans', () => {
  test('largest first, names kept, key positions set, losses noted', () => {
    const plans = planTables(
      [
        sourceTable({ name: 'Small', approximateRows: 1, columns: [sourceColumn('A', 'int')] }),
        sourceTable({
          name: 'select',
          approximateRows: 9,
          columns: [
            sourceColumn('A', 'int', { computed: { definition: '([B]+(1))', persisted: false } }),
            sourceColumn('B', 'datetimeoffset', { scale: 7 }),
          ],
          key: ['B'],
        }),
      ],
      planOptions,
    );
    assert.deepEqual(
      plans.map(({ index, target }) => [index, target.schema, target.name]),
      [
        [0, 'public', 'select'],
        [1, 'public', 'Small'],
      ],
    );
    const [first, second] = plans;
    assert.deepEqual(
      first?.columns.map(({ keyPosition }) => keyPosition),
      [-1, 0],
    );
    assert.deepEqual(first?.primaryKey, ['B']);
    assert.equal(first?.primaryKeyName, 'PK_select');
    assert.match(first?.notes.join('\n') ?? '', /B \(datetimeoffset\) loses/);
    assert.match(second?.notes.join('\n') ?? '', /one stream/);
    assert.equal(second?.primaryKeyName, null);
  });

  test('a unique key serves where there is no primary key, and is not made one', () => {
    const table = sourceTable({ columns: [sourceColumn('A', 'int'), sourceColumn('B', 'int')] });
    table.uniqueKeys = [{ name: 'UQ', kind: 'unique index', clustered: false, columns: ['B'] }];
    const [plan] = planTables([table], planOptions);
    assert.deepEqual([plan?.keyColumns, plan?.primaryKey, plan?.primaryKeyName], [['B'], [], null]);
  });

  const refusals: [string, Parameters<typeof sourceTable>[0][], Partial<PlanOptions>, string, RegExp][] = [
    [
      'two schemas with the same table name',
      [
        { schema: 'a', name: 'T' },
        { schema: 'b', name: 'T' },
      ],
      {},
      'SCHEMA_CONFLICT',
      /b\.T: would become public\.T, and so would a\.T/,
    ],
    [
      'two tables that differ in case',
      [{ name: 'Order' }, { name: 'order' }],
      { naming: { identifierCase: 'lower', schemaOf: () => 'public' } },
      'SCHEMA_CONFLICT',
      /dbo\.order: would become public\.order, and so would dbo\.Order/,
    ],
    [
      'two columns that differ in case',
      [{ columns: [sourceColumn('OrderID', 'int'), sourceColumn('Order_ID', 'int')] }],
      { naming: { identifierCase: 'snake', schemaOf: () => 'public' } },
      'SCHEMA_CONFLICT',
      /column Order_ID: would become order_id, and so would column OrderID/,
    ],
    [
      'a schema of PostgreSQL',
      [{}],
      { naming: { identifierCase: 'preserve', schemaOf: () => 'pg_x' } },
      'SCHEMA_CONFLICT',
      /schema pg_x, which belongs to PostgreSQL itself/,
    ],
    [
      'the schema of the ledger',
      [{}],
      { naming: { identifierCase: 'preserve', schemaOf: () => 'mssql_pg_migrate' } },
      'SCHEMA_CONFLICT',
      /which holds the ledger of runs/,
    ],
    [
      'half a character',
      [{ columns: [sourceColumn('x\ud800', 'int')] }],
      {},
      'SCHEMA_CONFLICT',
      /no well-formed text/,
    ],
    [
      'a system column',
      [{ columns: [sourceColumn('ctid', 'int')] }],
      {},
      'SCHEMA_CONFLICT',
      /ctid.*system column/,
    ],
    [
      'the row hash column',
      [{ columns: [sourceColumn('row_hash', 'int')] }],
      { rowHashColumn: 'row_hash' },
      'SCHEMA_CONFLICT',
      /row_hash: has the name of the row hash column/,
    ],
    [
      'as many columns as a table has, and the row hash',
      [{ columns: Array.from({ length: 1600 }, (_, i) => sourceColumn(`c${i}`, 'bit')) }],
      { rowHashColumn: 'row_hash' },
      'SCHEMA_CONFLICT',
      /has 1600 columns and gets row_hash; PostgreSQL allows 1600 in a table/,
    ],
    [
      'an unknown type',
      [{ columns: [sourceColumn('V', 'vector')] }],
      {},
      'TYPE_UNSUPPORTED',
      /column V: .*vector/,
    ],
    ['a graph table', [{ kind: 'graph' }], {}, 'UNSUPPORTED', /kind graph/],
    [
      'a masked column',
      [{ columns: [sourceColumn('Ssn', 'char', { maxLengthBytes: 9, unreadable: 'dynamic data masking' })] }],
      {},
      'SOURCE_PERMISSION',
      /Ssn: is protected by dynamic data masking/,
    ],
  ];
  for (const [name, tables, changes, code, message] of refusals) {
    test(`refused: ${name}`, () => {
      assert.throws(
        () => planTables(tables.map(sourceTable), { ...planOptions, ...changes }),
        (error) => {
          assert.ok(error instanceof AppError);
          assert.equal(error.code, code);
          assert.match(error.message, message);
          assert.ok(error.remedy);
          return true;
        },
      );
    });
  }

  test('every problem is named at once', () => {
    const tables = [
      sourceTable({ name: 'A', columns: [sourceColumn('V', 'vector'), sourceColumn('xmin', 'int')] }),
      sourceTable({ name: 'B', kind: 'external' }),
    ];
    assert.throws(
      () => planTables(tables, planOptions),
      (error) => /vector/.test(String(error)) && /xmin/.test(String(error)) && /dbo\.B/.test(String(error)),
    );
  });

  test('constraint names over 63 bytes get a short form that tells them apart', () => {
    const long = (end: string) =>
      planOne({ columns: [sourceColumn('A', 'int')], key: ['A'], keyName: `PK_${'ä'.repeat(40)}${end}` });
    const [one, two] = [long('1'), long('2')];
    assert.ok(Buffer.byteLength(one.primaryKeyName ?? '') <= 63);
    assert.notEqual(one.primaryKeyName, two.primaryKeyName);
    assert.equal(one.primaryKeyName, long('1').primaryKeyName);
    assert.match(one.notes.join(), /is named/);
  });

  test('tables and columns, too', () => {
    const [a, b] = ['ü'.repeat(32), `${'ü'.repeat(127)}b`].map((name) =>
      planOne({
        name,
        columns: [sourceColumn(`${name}1`, 'int'), sourceColumn(`${name}2`, 'int')],
        key: [`${name}1`],
      }),
    );
    for (const { target, columns, primaryKey, notes } of [a!, b!]) {
      const [one, two] = columns.map(({ targetName }) => targetName);
      assert.ok([target.name, one!, two!].every((name) => Buffer.byteLength(name) <= 63));
      assert.notEqual(one, two);
      assert.deepEqual(primaryKey, [one]);
      assert.match(notes.join(), /column ü+b?1 is named ü+_[0-9a-f]{8} in .*,is named ü+_[0-9a-f]{8} in/);
    }
    assert.notEqual(a!.target.name, b!.target.name);
  });

  test('snake case', () => {
    for (const [name, snake] of [
      ['OrderID', 'order_id'],
      ['HTTPServer', 'http_server'],
      ['XMLHttpRequest', 'xml_http_request'],
      ['already_snake', 'already_snake'],
      ['Order_ID', 'order_id'],
      ['__Init', '__init'],
      ['OrderIDs', 'order_ids'],
      ['Order Details', 'order_details'],
      ['Price ($)', 'price'],
      ['a"]; DROP TABLE x --', 'a_drop_table_x'],
      ['Address2', 'address2'],
      ['Address2Line', 'address2_line'],
      ['GrößeÄnderung', 'größe_änderung'],
      ['注文ID', '注文_id'],
      ['%', '%'],
    ] as const) {
      assert.equal(inCase(name, 'snake'), snake);
    }
    assert.equal(inCase('GrößeÄnderung', 'lower'), 'größeänderung');
  });

  test('type labels are as DDL spells them', () => {
    const cases: [Parameters<typeof sourceColumn>, string][] = [
      [['a', 'decimal', { precision: 18, scale: 4 }], 'decimal(18,4)'],
      [['a', 'nvarchar', { maxLengthBytes: -1 }], 'nvarchar(max)'],
      [['a', 'nvarchar', { maxLengthBytes: 256, declaredType: 'sysname' }], 'sysname (nvarchar(128))'],
      [['a', 'varbinary', { maxLengthBytes: 16 }], 'varbinary(16)'],
      [['a', 'datetime2', { scale: 3 }], 'datetime2(3)'],
      [['a', 'int'], 'int'],
    ];
    for (const [column, label] of cases) assert.equal(typeLabel(sourceColumn(...column)), label);
  });
});

describe('table filters', () => {
  const tables = ['dbo.Orders', 'dbo.Order_archive', 'sales.Orders', 'dbo.we[i]rd', 'dbo..dot'].map(
    (label) => {
      const [schema = '', ...name] = label.split('.');
      return { schema, name: name.join('.') };
    },
  );
  const kept = (include_tables: string[], exclude_tables: string[] = []) =>
    filterTables(tables, { include_tables, exclude_tables }).map(({ schema, name }) => `${schema}.${name}`);

  test('patterns match the name and schema.name, without regard to case', () => {
    assert.deepEqual(kept([]).length, 5);
    assert.deepEqual(kept(['orders']), ['dbo.Orders', 'sales.Orders']);
    assert.deepEqual(kept(['SALES.*']), ['sales.Orders']);
    assert.deepEqual(kept(['order*'], ['*_archive']), ['dbo.Orders', 'sales.Orders']);
    assert.deepEqual(kept(['*'], ['dbo.*']), ['sales.Orders']);
    assert.deepEqual(kept(['we\\[i\\]rd']), ['dbo.we[i]rd']);
    assert.deepEqual(kept(['.d*']), ['dbo..dot']);
  });

  test('an include pattern without a match, and a filter that leaves nothing, are errors', () => {
    const config = { code: 'CONFIG_INVALID' };
    assert.throws(() => kept(['orders', 'nothing*']), { ...config, message: /nothing\*/ });
    assert.throws(() => kept([], ['*']), config);
  });
});
