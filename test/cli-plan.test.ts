/**
 * How a plan is shown, for people and as JSON.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partitionsJson, planJson, planReport } from '../src/commands/plan-report.js';
import type { DryRun } from '../src/engine/events.js';
import { estimateTime } from '../src/plan/estimate.js';
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
  scan: null,
  sizes: [{ name: 'lanes', value: 4, unit: 'lanes', reason: 'two for each of the 2 cores' }],
  obstacles: [{ code: 'SCHEMA_CONFLICT', message: 'public.Votes is a view', remedy: 'Drop it.' }],
};

test('the report names tables, columns, ranges, actions, notes and sizes', () => {
  const report = planReport(dryRun, ['source: SQL Server 16']);
  assert.match(report, /^Nothing was changed\. A run with target_mode truncate would do this:\n/);
  assert.match(
    report,
    /dbo\.Votes -> public\.Votes, about 10,143,364 rows in 412 MB, key id, read in 2 ranges\n/,
  );
  assert.match(report, /would: drops public\.Votes/);
  assert.match(report, / {2}id +int +integer +primary key\n/);
  assert.match(report, / {2}At +datetimeoffset\(7\) +timestamptz\n/);
  assert.match(report, / {2}xmin +bigint +bigint +xmin_ +not null\n/);
  assert.match(report, /note: At: loses the time zone offset/);
  assert.match(report, /Estimated time of the rows: about 1:23 for 10,143,364 rows in 412 MB: assumed\.\n/);
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

test('partitions share rows and bytes of their table', () => {
  assert.deepEqual(partitionsJson(dryRun)[1], {
    table: 'dbo.Votes',
    partition: 1,
    lower: ['5000'],
    upper: null,
    approximate_rows: 5_071_682,
    approximate_bytes: 206_000_000,
  });
});

test('the estimate says what it is based on, and goes by the slowest part', () => {
  const sizes = { lanes: 4, writersPerLane: 2 };
  const large = { rows: 1_000_000, bytes: 600_000_000, partitions: 20 };
  const small = { rows: 100, bytes: null, partitions: 1 };
  const assumed = estimateTime([large, small], { from: 'nothing' }, sizes, 2);
  assert.deepEqual([assumed.rows, assumed.bytes, assumed.basis], [1_000_100, 600_020_000, 'nothing']);
  assert.equal(assumed.seconds, 7.5, '2 cores read 40 MB/s each');
  assert.match(assumed.reason, /nothing could be measured: 40 MB\/s are assumed of each of 2 reading/);
  // One stream is as fast as one connection, whatever the number of lanes.
  assert.equal(estimateTime([{ ...large, partitions: 1 }], { from: 'nothing' }, sizes, 16).seconds, 20);
  const sample = { from: 'sample', table: 'dbo.Votes', bytes: 3e7, seconds: 2 } as const;
  const sampled = estimateTime([large], sample, sizes, 2);
  assert.deepEqual([sampled.seconds, sampled.basis], [20, 'sample']);
  assert.match(
    sampled.reason,
    /gave 15 MB\/s in a sample of dbo\.Votes, .*; indexes, keys and checks come on top$/,
  );
  const run = { from: 'earlier run', runId: 'r1', finishedAt: new Date(0), bytes: 5e7, seconds: 5 } as const;
  const again = estimateTime([{ ...large, copyBytesPerRow: 50 }], run, sizes, 2);
  assert.deepEqual([again.seconds, again.bytes], [5, 5e7]);
  assert.match(again.reason, /10 MB\/s of COPY data that run r1 moved into this target on 1970-01-01/);
});
