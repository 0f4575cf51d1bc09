/**
 * How a plan is shown, for people and as JSON.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planJson, planReport } from '../src/commands/plan-report.js';
import type { DryRun } from '../src/engine/events.js';
import type { PlannedColumn, TablePlan } from '../src/plan/model.js';
import { noObjects } from '../src/plan/objectWork.js';
import { sourceColumn } from './support/sourceTables.js';

function column(parts: Partial<PlannedColumn>): PlannedColumn {
  return {
    source: sourceColumn('id', 'int'),
    sourceName: 'id',
    targetName: 'id',
    sourceType: 'int',
    pgType: 'integer',
    field: 'int4',
    selectExpression: '[id]',
    nullable: false,
    keyPosition: -1,
    hashed: true,
    ...parts,
  };
}

const plan: TablePlan = {
  index: 0,
  source: { schema: 'dbo', name: 'Votes' },
  target: { schema: 'public', name: 'Votes' },
  columns: [
    column({ keyPosition: 0 }),
    column({
      sourceName: 'At',
      targetName: 'At',
      sourceType: 'datetimeoffset(7)',
      pgType: 'timestamptz',
      nullable: true,
    }),
    column({ sourceName: 'xmin', targetName: 'xmin_', sourceType: 'bigint', pgType: 'bigint' }),
  ],
  keyColumns: ['id'],
  primaryKey: ['id'],
  primaryKeyName: 'PK_Votes',
  approximateRows: 10_143_364,
  chunkRows: 100_000,
  rowHashColumn: null,
  unlogged: false,
  objects: noObjects(),
  requires: [],
  notes: ['At: loses the time zone offset'],
};

const dryRun: DryRun = {
  mode: 'truncate',
  tables: [
    {
      plan,
      partitions: [
        { table: 0, partition: 0, lower: null, upper: ['5000'] },
        { table: 0, partition: 1, lower: ['5000'], upper: null },
      ],
      bytes: 412_000_000,
      actions: ['drops public.Votes'],
    },
  ],
  estimate: { seconds: 83.4, rows: 10_143_364, bytes: 412_000_000, basis: 'nothing', reason: 'assumed' },
  sizes: [{ name: 'lanes', value: 4, unit: 'lanes', reason: 'two for each of the 2 cores' }],
  obstacles: [{ code: 'SCHEMA_CONFLICT', message: 'public.Votes is a view', remedy: 'Drop it.' }],
};

test('the report names tables, columns, ranges, actions, notes and sizes', () => {
  const report = planReport(dryRun, ['source: SQL Server 16']);
  assert.match(report, /^Nothing was changed\. A run with target_mode truncate would do this:\n/);
  assert.match(report, /dbo\.Votes -> public\.Votes, about 10,143,364 rows in 412 MB, key id, read in 2 ranges\n/);
  assert.match(report, /would: drops public\.Votes/);
  assert.match(report, / {2}id +int +integer +primary key\n/);
  assert.match(report, / {2}At +datetimeoffset\(7\) +timestamptz\n/);
  assert.match(report, / {2}xmin +bigint +bigint +xmin_ +not null\n/);
  assert.match(report, /note: At: loses the time zone offset/);
  assert.match(
    report,
    /Estimated time of the rows: about 1:23 for 10,143,364 rows in 412 MB: assumed\.\n/,
  );
  assert.match(report, /lanes +4 +lanes +two for each of the 2 cores/);
  assert.match(
    report,
    /Notes\n {2}source: SQL Server 16\n\nA run could not work:\n {2}public\.Votes is a view \[SCHEMA_CONFLICT\]\n {4}Drop it\.$/,
  );
  assert.doesNotMatch(report, /[ \t]\n/);
});

test('the JSON has the plan without its statements', () => {
  const json = JSON.parse(JSON.stringify(planJson(dryRun)));
  assert.deepEqual(json.tables[0].partitions, [
    { partition: 0, lower: null, upper: ['5000'] },
    { partition: 1, lower: ['5000'], upper: null },
  ]);
  assert.deepEqual(json.tables[0].columns[2], {
    source: 'xmin',
    target: 'xmin_',
    source_type: 'bigint',
    target_type: 'bigint',
    nullable: false,
  });
  assert.deepEqual(json.tables[0].actions, ['drops public.Votes']);
  assert.deepEqual([json.mode, json.obstacles[0].remedy], ['truncate', 'Drop it.']);
  assert.equal(json.sizes[0].reason, 'two for each of the 2 cores');
  assert.equal(JSON.stringify(json).includes('[id]'), false);
});
