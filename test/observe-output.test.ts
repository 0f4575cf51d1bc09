/**
 * Logs, progress and results: what is written, and what never is.
 */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import type { RunOutcome } from '../src/engine/events.js';
import { noTime, type TierTimes } from '../src/engine/sampler.js';
import { byteCount, count, duration, plainText, short, textTable } from '../src/observe/format.js';
import { overallLine, tableLine } from '../src/observe/lines.js';
import { createLog } from '../src/observe/log.js';
import { Progress, Screen } from '../src/observe/progress.js';
import { runReport, runResult } from '../src/observe/result.js';
import type { ProgressLine } from '../src/observe/schemas.js';
import { Tally } from '../src/observe/tally.js';
import { hideSecrets } from '../src/secrets.js';

/** Stands in for process.stderr; keeps what is written. */
function terminal(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = new PassThrough();
  const chunks: string[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  Object.assign(stream, { isTTY, columns: 100, rows: 40, cursorTo: () => true });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => chunks.join('') };
}

test('numbers as people read them', () => {
  assert.deepEqual([0, 999, 1000, 12_345, 999_999, 2.5e6, 3e9].map(short), [
    '0',
    '999',
    '1.00 K',
    '12.3 K',
    '1.00 M',
    '2.50 M',
    '3.00 G',
  ]);
  assert.deepEqual([0, 999, 1500, 12_300_000].map(byteCount), ['0 B', '999 B', '1.50 kB', '12.3 MB']);
  assert.deepEqual([5, 1234, 59_999, 60_000, 3_723_000].map(duration), [
    '0.01 s',
    '1.23 s',
    '1:00',
    '1:00',
    '1:02:03',
  ]);
  assert.equal(count(1234567), '1,234,567');
});

test('what the source names things can not draw on the terminal', () => {
  assert.equal(plainText('dbo.a\u001b[31m\u0007\tb\nc\u009b2J'), 'dbo.a [31m \tb\nc 2J');
});

test('tables line up, and no control character gets through', () => {
  const text = textTable(
    [{ title: 'name' }, { title: 'n', align: 'right' }],
    [
      ['a\u001b[31m\nb', '1'],
      ['caf\u00e9', '1,000'],
    ],
  );
  assert.equal(text, 'name          n\n--------  -----\na [31m b      1\ncaf\u00e9      1,000');
});

test('log lines: text and JSON, by level, passwords replaced', () => {
  const lines: string[] = [];
  const text = createLog({ format: 'text', level: 'info', write: (line) => lines.push(line) });
  hideSecrets(['hunter2secret', '', 'pw', undefined]);
  text.debug('not this');
  text.info('reading', { table: 'dbo.Votes', rows: 5, note: 'a b' });
  text.error('login with hunter2secret failed\nsecond line', { detail: 'pw=hunter2secret' });
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? '', /^\d\d:\d\d:\d\d info {2}reading table=dbo\.Votes rows=5 note="a b"\n$/);
  assert.match(lines[1] ?? '', /login with \*\*\* failed\n {15}second line detail="pw=\*\*\*"\n$/);

  const json: string[] = [];
  const log = createLog({ format: 'json', level: 'debug', write: (line) => json.push(line) });
  log.warn('a\nb', { password: 'x', rows: 1, text: 'hunter2secret' });
  const parsed = JSON.parse(json[0] ?? '');
  assert.deepEqual(
    { ...parsed, time: '' },
    { level: 'warn', time: '', message: 'a\nb', password: '***', rows: 1, text: '***' },
  );
  assert.ok(!Number.isNaN(Date.parse(parsed.time)));
});

test('a tally adds up events and knows the pace', () => {
  let now = 0;
  const tally = new Tally(() => now);
  tally.consume({
    kind: 'run-started',
    runId: 'r',
    tables: [
      { table: 'dbo.a', approximateRows: 1000 },
      { table: 'dbo.b', approximateRows: 500 },
      { table: 'dbo.c', approximateRows: 10 },
    ],
  });
  now = 5000;
  tally.consume({ kind: 'phase', phase: 'transfer' });
  tally.consume({ kind: 'table-started', table: 'dbo.a', partitions: 1 });
  tally.consume({ kind: 'table-started', table: 'dbo.b', partitions: 1 });
  now = 6000;
  tally.consume({ kind: 'rows', table: 'dbo.a', rows: 100, bytes: 1000 });
  tally.consume({ kind: 'rows', table: 'dbo.b', rows: 200, bytes: 500 });
  now = 7000;
  tally.consume({ kind: 'rows', table: 'dbo.a', rows: 400, bytes: 4000 });
  const s = tally.snapshot();
  assert.deepEqual(
    [s.phase, s.tablesTotal, s.tablesCompleted, s.rows, s.bytes, s.approximateRows],
    ['transfer', 3, 0, 600, 4500, 1510],
  );
  assert.equal(s.rowsPerSecond, 300);
  assert.equal(s.remainingMs, (910 / 300) * 1000);
  assert.deepEqual(
    s.running.map((t) => [t.table, t.rows, t.rowsPerSecond]),
    [
      ['dbo.a', 400, 200],
      ['dbo.b', 200, 100],
    ],
  );

  // A table that ended with fewer rows than the catalog said leaves the total right.
  tally.consume({ kind: 'table-finished', table: 'dbo.b', rows: 450, bytes: 900, durationMs: 2000 });
  tally.consume({ kind: 'table-failed', table: 'dbo.c', error: { code: 'PROTOCOL', message: 'm' } });
  const end = tally.snapshot();
  assert.deepEqual([end.tablesCompleted, end.tablesFailed, end.rows, end.approximateRows], [1, 1, 850, 1460]);
  assert.match(overallLine(end), /58 % {2}1\/3 tables {2}1 failed {2}850 of 1\.46 K rows/);
  assert.ok(end.running[0] !== undefined);
  assert.match(tableLine(end.running[0]), /dbo\.a .* 40 % {2}400 rows/);
});

test('an old burst does not count as pace', () => {
  let now = 0;
  const tally = new Tally(() => now);
  tally.consume({ kind: 'phase', phase: 'transfer' });
  tally.consume({ kind: 'table-started', table: 't', partitions: 1 });
  for (now = 1000; now <= 60_000; now += 1000) {
    tally.consume({ kind: 'rows', table: 't', rows: now <= 10_000 ? now * 1000 : 10_000_000, bytes: 0 });
  }
  assert.equal(tally.snapshot().rowsPerSecond, 0);
});

test('rows under way count, and what they wait for is told', () => {
  let now = 0;
  const tally = new Tally(() => now);
  const sample = (rowsUnderWay: number, writer: Partial<TierTimes>, reader: Partial<TierTimes>) =>
    tally.consume({
      kind: 'sample',
      tables: ['dbo.a'],
      lanes: [
        {
          table: 0,
          reader: { ...noTime(), ...reader },
          hasher: null,
          writers: [
            {
              table: 0,
              times: { ...noTime(), ...writer },
              rowsUnderWay,
              bytesUnderWay: rowsUnderWay * 10,
              slotsInUse: 3,
              slots: 4,
            },
          ],
        },
      ],
    });
  tally.consume({ kind: 'run-started', runId: 'r', tables: [{ table: 'dbo.a', approximateRows: 1000 }] });
  tally.consume({ kind: 'phase', phase: 'transfer' });
  // An earlier process has brought 300 rows: no part of this one's pace.
  tally.consume({ kind: 'rows', table: 'dbo.a', rows: 300, bytes: 3000, chunks: 3 });
  tally.consume({ kind: 'table-started', table: 'dbo.a', partitions: 1 });
  now = 1000;
  sample(100, { target: 200, working: 50 }, { writer: 230, working: 20 });
  const s = tally.snapshot();
  assert.deepEqual([s.rows, s.rowsCommitted, s.bytes, s.chunks, s.rowsPerSecond], [400, 300, 4000, 3, 100]);
  assert.deepEqual([s.limit, s.running[0]?.limit, s.gauges.ringFill], ['target', 'target', 0.75]);
  assert.match(overallLine(s), /400 of 1\.00 K rows.* {2}waiting for PostgreSQL$/);
  // Committed, the same rows are not counted twice; rolled back, they are gone.
  tally.consume({ kind: 'rows', table: 'dbo.a', rows: 400, bytes: 4000, chunks: 4 });
  assert.deepEqual([tally.snapshot().rows, tally.snapshot().rowsCommitted], [400, 400]);
  now = 2000;
  sample(50, {}, { source: 900 });
  assert.deepEqual([tally.snapshot().rows, tally.snapshot().limit], [450, 'source']);
  now = 3000;
  sample(0, {}, { source: 900 });
  assert.equal(tally.snapshot().rows, 400);
  tally.consume({ kind: 'retry', table: 'dbo.a', error: { code: 'TARGET_TRANSIENT', message: 'm' } });
  assert.match(tableLine(tally.table('dbo.a')), /1 retry {2}waiting for SQL Server$/);
  const rates = tally.history().map(({ rowsPerSecond }) => rowsPerSecond);
  assert.ok(Math.max(...rates) <= 100, `${rates}`);
});

test('lines fit the terminal, and are coloured only where they may be', () => {
  const tally = new Tally(() => 1000);
  const name = 'dbo.A_table_whose_name_is_longer_than_any_line';
  tally.consume({ kind: 'run-started', runId: 'r', tables: [{ table: name, approximateRows: 2_000_000 }] });
  tally.consume({ kind: 'phase', phase: 'transfer' });
  tally.consume({ kind: 'table-started', table: name, partitions: 1 });
  tally.consume({ kind: 'rows', table: name, rows: 1_000_000, bytes: 5e9 });
  const s = tally.snapshot();
  const [table] = s.running;
  assert.ok(table !== undefined);
  for (const width of [20, 40, 59, 79, 120, 200]) {
    for (const color of [false, true]) {
      for (const line of [overallLine(s, { width, color }), tableLine(table, { width, color })]) {
        assert.ok(stripVTControlCharacters(line).length <= width, line);
        assert.ok(color || !line.includes('\u001b'), line);
      }
    }
  }
  assert.match(overallLine(s, { width: 59, color: false }), /^transfer {3}50 % .*rows\/s/);
  assert.match(overallLine(s, { width: 200, color: true }), /\u001b\[1mtransfer/);
});

test('--progress writes JSON lines for the run and each running table', () => {
  const { stream, text } = terminal(false);
  const screen = new Screen(stream);
  const log = createLog({ format: 'json', level: 'info', write: (line) => screen.write(line) });
  const progress = new Progress(screen, log, 'json');
  progress.start();
  progress.consume({ kind: 'run-started', runId: 'r', tables: [{ table: 'dbo.a', approximateRows: 10 }] });
  progress.consume({ kind: 'phase', phase: 'transfer' });
  progress.consume({ kind: 'table-started', table: 'dbo.a', partitions: 1 });
  progress.consume({ kind: 'rows', table: 'dbo.a', rows: 4, bytes: 40 });
  progress.stop();
  progress.consume({ kind: 'table-finished', table: 'dbo.a', rows: 9, bytes: 90, durationMs: 10 });
  const lines = text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ProgressLine & { level?: string })
    .filter((line) => line.level === undefined);
  assert.deepEqual(
    lines.map((l) => [l.table, l.rows_transferred, l.total_rows, l.tables_completed, l.table_status]),
    [
      [null, 4, 10, 0, null],
      ['dbo.a', 4, 10, 0, 'running'],
      ['dbo.a', 9, 9, 1, 'completed'],
    ],
  );
  for (const line of lines) {
    assert.equal(line.phase, 'transfer');
    assert.equal(line.current_table, 'dbo.a');
    assert.equal(typeof line.rows_per_second, 'number');
    assert.ok(!Number.isNaN(Date.parse(line.timestamp)));
  }
});

test('at a terminal, bars are redrawn in place, log lines stay whole, and the screen is left clean', async () => {
  const { stream, text } = terminal(true);
  const screen = new Screen(stream);
  const log = createLog({ format: 'text', level: 'info', write: (line) => screen.write(line) });
  const progress = new Progress(screen, log, 'live');
  progress.start();
  progress.consume({ kind: 'run-started', runId: 'r', tables: [{ table: 'dbo.a', approximateRows: 100 }] });
  progress.consume({ kind: 'phase', phase: 'transfer' });
  progress.consume({ kind: 'table-started', table: 'dbo.a', partitions: 1 });
  progress.consume({ kind: 'rows', table: 'dbo.a', rows: 50, bytes: 500 });
  await sleep(400);
  log.warn('first');
  log.warn('second');
  await sleep(200);
  log.warn('last');
  progress.stop();
  log.info('after');
  const written = text();
  assert.match(written, /transfer +\[=+ +\] +50 % {2}0\/1 tables/);
  assert.match(written, /dbo\.a +50 % {2}50 rows/);
  // Each log line erases what is left of the bar it is written over.
  for (const word of ['first', 'second', 'last'])
    assert.match(written, new RegExp(`warn  ${word}\u001b\\[K\n`));
  assert.match(written, /info {2}after\n$/);
  const bars = written.lastIndexOf('tables');
  assert.ok(
    written.indexOf('\u001b[0J', bars) > bars || written.indexOf('\u001b[J', bars) > bars,
    'not cleared',
  );
  assert.ok(written.lastIndexOf('\u001b[?25h') > written.lastIndexOf('\u001b[?25l'), 'cursor left hidden');
});

const OUTCOME: RunOutcome = {
  runId: 'run-1',
  tables: [
    {
      table: 'dbo.a',
      target: 'public.a',
      status: 'success',
      rows: 1000,
      bytes: 5000,
      durationMs: 500,
      notes: ['n1'],
    },
    {
      table: 'dbo.b',
      target: 'public.b',
      status: 'failed',
      rows: 10,
      bytes: 50,
      durationMs: 100,
      notes: [],
      error: {
        code: 'VALUE_UNREPRESENTABLE',
        message: 'NUL in text',
        table: 'dbo.b',
        column: 'c',
        key: '7',
        remedy: 'set migration.on_nul',
        stack: 'secret stack',
      },
    },
    { table: 'dbo.c', target: 'public.c', status: 'skipped', rows: 0, bytes: 0, durationMs: 0, notes: [] },
  ],
  steps: [{ step: 'primary key', table: 'dbo.a', name: 'a_pkey', durationMs: 12 }],
  notes: ['2 indexes were not created'],
  error: { code: 'TABLES_FAILED', message: '1 of 3 tables failed', remedy: 'see the errors' },
};

test('the result of a run as JSON and for people', () => {
  const span = { startedAt: new Date(0), finishedAt: new Date(2000) };
  const result = runResult('run', span, OUTCOME);
  assert.equal(JSON.stringify(result).includes('secret stack'), false);
  assert.deepEqual(
    [result.run_id, result.command, result.status, result.duration_seconds, result.started_at],
    ['run-1', 'run', 'failed', 2, '1970-01-01T00:00:00.000Z'],
  );
  assert.deepEqual(
    [result.tables_total, result.tables_success, result.tables_failed, result.rows_transferred, result.bytes],
    [3, 1, 1, 1010, 5050],
  );
  assert.equal(result.rows_per_second, 505);
  assert.deepEqual(result.failed_tables, ['dbo.b']);
  assert.deepEqual(result.error, {
    code: 'TABLES_FAILED',
    message: '1 of 3 tables failed',
    remedy: 'see the errors',
    exit_code: 3,
    // The one table that failed would fail again.
    recoverable: false,
  });
  const passing = OUTCOME.tables.map((table) =>
    table.error === undefined
      ? table
      : { ...table, error: { ...table.error, code: 'SOURCE_TRANSIENT' as const } },
  );
  assert.equal(runResult('run', span, { ...OUTCOME, tables: passing }).error?.recoverable, true);
  assert.deepEqual(result.tables[1]?.error, {
    code: 'VALUE_UNREPRESENTABLE',
    message: 'NUL in text',
    remedy: 'set migration.on_nul',
    exit_code: 3,
    recoverable: false,
    table: 'dbo.b',
    column: 'c',
    key: '7',
  });
  assert.equal(result.tables[0]?.rows_per_second, 2000);

  const report = runReport(result);
  assert.match(report, /dbo\.a +public\.a +success +1,000 +5\.00 kB +0\.50 s +2\.00 K/);
  assert.match(
    report,
    /dbo\.b failed: NUL in text \(column c, key 7\) \[VALUE_UNREPRESENTABLE\]|dbo\.b failed: NUL in text \(table dbo\.b, column c, key 7\)/,
  );
  assert.match(report, /What to do: set migration\.on_nul/);
  assert.match(report, /dbo\.a: n1/);
  assert.match(report, /2 indexes were not created/);
  assert.match(report, /Failed; complete: 1 of 3 tables, 1,010 rows, 5\.05 kB in 2\.00 s \(505 rows\/s\)$/);
});

test('a cancelled run says cancelled, with exit code 5', () => {
  const span = { startedAt: new Date(0), finishedAt: new Date(10) };
  const result = runResult('run', span, {
    ...OUTCOME,
    error: { code: 'CANCELLED', message: 'stopped by SIGINT' },
  });
  assert.deepEqual([result.status, result.error?.exit_code], ['cancelled', 5]);
});
