/**
 * `tui` in a pseudo-terminal: keys in, screen out, against real servers; and a terminal that is clean afterwards.
 *
 * A gate in the target, an advisory lock, keeps rows of one table waiting: half way lasts as long as it is shut.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { History } from '../src/observe/pace.js';
import { Tally } from '../src/observe/tally.js';
import { bar, plot } from '../src/terminal/tui/plot.js';
import { listing, tableRows } from '../src/terminal/tui/rows.js';
import { runCli } from './support/cli.js';
import { type Scene, startScene } from './support/endToEnd.js';
import {
  KEYS,
  type TerminalEnd,
  type TerminalOptions,
  TestTerminal,
  terminalMissing,
} from './support/terminal.js';

const CLEAN = { normalScreen: true, cursorShown: true, cooked: true };
const BIG_ROWS = 12_000;
const CHUNK = 500;

let scene: Scene;
before(async () => {
  scene = await startScene(
    'tui',
    `CREATE TABLE dbo.big (id int NOT NULL PRIMARY KEY, pad varchar(2000) NOT NULL);
CREATE TABLE dbo.small (id int NOT NULL PRIMARY KEY);
CREATE TABLE dbo.refused (id int NOT NULL PRIMARY KEY, name nvarchar(20) NOT NULL);
GO
INSERT INTO dbo.big (id, pad) SELECT s.value, REPLICATE('x', 1900) FROM GENERATE_SERIES(1, ${BIG_ROWS}) AS s;
INSERT INTO dbo.small (id) VALUES (1), (2);
INSERT INTO dbo.refused (id, name) VALUES (1, N'good'), (2, N'nul' + NCHAR(0));`,
  );
  await scene.client.query(`CREATE TABLE public.big (id integer PRIMARY KEY, pad varchar(2000));
    CREATE FUNCTION public.gate() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$;
    CREATE TRIGGER gate BEFORE INSERT ON public.big FOR EACH ROW WHEN (NEW.id > 2000 AND NEW.id % 500 = 0)
      EXECUTE FUNCTION public.gate()`);
});
after(() => scene?.stop());
beforeEach(() => scene.client.query('SELECT pg_advisory_unlock_all()'));

const shutGate = () => scene.client.query('SELECT pg_advisory_lock(42)');
const openGate = () => scene.client.query('SELECT pg_advisory_unlock(42)');

/** Rows of the large table are far more than rings and sockets can hold. */
const chunked = {
  ...{ target_mode: 'truncate', chunk_size: CHUNK, max_retries: 0 },
  ...{ read_ahead_buffers: 2, parallel_readers: 2, write_ahead_writers: 2 },
};

function open(migration: Record<string, unknown>, options: TerminalOptions = {}): TestTerminal {
  const args = ['-c', scene.config({ migration: { ...chunked, ...migration } }), 'tui'];
  return new TestTerminal(args, { cwd: scene.directory, ...options });
}

/** Does something with the program, waits for its end, and leaves nothing behind. */
async function through(terminal: TestTerminal, act: () => Promise<void>): Promise<TerminalEnd> {
  try {
    await act();
    return await terminal.ended();
  } finally {
    await terminal.stop();
  }
}

/** Starts a run and waits until it has come to the gate. */
async function runHalfWay(terminal: TestTerminal): Promise<void> {
  await shutGate();
  await terminal.waitFor(/r run/);
  terminal.type('r');
  await terminal.waitFor(/truncate: tables that the target has already lose their rows/);
  terminal.type('f');
  await terminal.waitFor(/dbo\.big +running +[1-9]\d? %/);
}

test('a dry run, a run with a table that fails, its error, filter, order, sizes', {
  skip: terminalMissing,
}, async () => {
  // In what calls itself CI there may be a person at a terminal all the same.
  const terminal = open({}, { env: { CI: 'true' } });
  const end = await through(terminal, async () => {
    await terminal.waitFor(/Nothing is under way/);
    assert.ok(terminal.alternate);
    terminal.type('?');
    await terminal.waitFor(/this help/);
    terminal.type(KEYS.escape);
    await terminal.waitFor(/Tables 0/);
    terminal.type('d');
    await terminal.waitFor(/dry run done/);
    await terminal.waitFor(/dbo\.big +planned +~12,000/);
    terminal.type('t');
    await terminal.waitFor(/Nothing was changed/);
    terminal.type(KEYS.escape);

    await runHalfWay(terminal);
    await terminal.waitFor(/run under way/);
    await terminal.waitFor(/rings +[\u2588-\u2591]+ +\d+ %/);
    await openGate();
    await terminal.waitFor(/run did not succeed/);
    terminal.type('oo');
    await terminal.waitFor(/by name/);
    terminal.type('ooo');
    await terminal.waitFor(/by plan/);
    terminal.type('/ref');
    await terminal.waitFor(/Tables 1 of 3, by plan, filter "ref"/);
    terminal.type(KEYS.enter + KEYS.enter);
    const details = await terminal.waitFor(/state +failed/);
    assert.match(details, /dbo\.refused failed: .*(NUL|U\+0000)[\s\S]*What to do:/);
    assert.match(details, /column name/);
    terminal.type(KEYS.escape);
    await terminal.waitFor(/filter "ref"/);
    terminal.type(KEYS.escape);
    await terminal.waitFor(/dbo\.small +done +100 % +2/);

    // Every size down to the smallest has all of its parts, and no line too many.
    for (const [rows, columns] of [
      [40, 120],
      [15, 60],
      [24, 80],
    ] as const) {
      terminal.resize(rows, columns);
      // Drawn anew, which may take several writes: the first rule is as wide as the list, the keys are on the last line.
      const parts = [
        /^── Tables 3/m,
        /── Rows\/s/,
        /── Log ─+$/m,
        /reader /,
        /writer /,
        /dbo\.big/,
        /q quit$/,
      ];
      const screen = await terminal.waitFor((text) => {
        const lines = text.split('\n');
        const wide = Math.max(...lines.map((line) => [...line].length));
        return lines.length === rows && wide === columns && parts.every((part) => part.test(text));
      });
      assert.equal(screen.match(/Tables 3/g)?.length, 1, screen);
    }
    terminal.resize(10, 50);
    await terminal.waitFor(/^terminal too small: 50x10, needs 60x15$/);
    terminal.resize(24, 80);
    await terminal.waitFor(/q quit$/);
    terminal.type('q');
  });
  assert.deepEqual(end, { code: 3, ...CLEAN });
  // What was on the screen before is there again, and the result behind it.
  assert.match(terminal.output, /Failed; complete: 2 of 3 tables/);
});

test('stopped half way, resumed, quit', { skip: terminalMissing }, async () => {
  const terminal = open({ on_nul: 'strip' }, { rows: 40, columns: 120 });
  const end = await through(terminal, async () => {
    await runHalfWay(terminal);
    terminal.type('q');
    await terminal.waitFor(/A fresh run is under way/);
    terminal.type('n');
    await terminal.waitFor(/s stop/);
    terminal.type('s');
    await terminal.waitFor(/fresh run stopping/);
    await openGate();
    await terminal.waitFor(/run did not succeed/);
    await terminal.waitFor(/dbo\.big +stopped/);
    const [row] = await scene.rows('SELECT count(*) FROM public.big');
    const stopped = Number(row?.[0]);
    assert.ok(stopped > 0 && stopped < BIG_ROWS && stopped % CHUNK === 0, `${stopped} rows`);
    // A run is refused now, and the refusal names the way out.
    terminal.type('ry');
    await terminal.waitFor(/is not finished \(cancelled\)[\s\S]*What to do: Use `resume`/);
    terminal.type('e');
    await terminal.waitFor(/resume done/);
    await terminal.waitFor(/dbo\.big +done +100 % +12,000/);
    terminal.type('v');
    await terminal.waitFor(/verify (done|did not)/);
    await terminal.waitFor(/dbo\.big +equal/);
    // The stripped NUL is a difference, and the exit code is the last task's.
    await terminal.waitFor(/dbo\.refused +(equal|differs)/);
    terminal.type(KEYS.ctrlC);
  });
  assert.deepEqual({ ...end, code: 0 }, { code: 0, ...CLEAN });
  assert.deepEqual(await scene.rows('SELECT count(*) FROM public.big'), [[String(BIG_ROWS)]]);
});

test('however it ends, the terminal is clean; without colors where none are wanted', {
  skip: terminalMissing,
}, async () => {
  const quit = open({ on_nul: 'strip' }, { env: { NO_COLOR: '1' } });
  const asked = await through(quit, async () => {
    await runHalfWay(quit);
    quit.type(KEYS.ctrlC);
    await quit.waitFor(/A fresh run is under way/);
    quit.type('y');
    // The gate is shut: only a second time ends it.
    await quit.waitFor(/fresh run stopping, then leaving/);
    quit.type(KEYS.ctrlC);
  });
  await scene.client.query('SELECT pg_advisory_unlock_all()');
  assert.deepEqual(asked, { code: 5, ...CLEAN });
  assert.doesNotMatch(quit.output, /\u001b\[[0-9;]*3[0-7]m/);

  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    const terminal = open({ on_nul: 'strip' });
    const end = await through(terminal, async () => {
      if (signal === 'SIGTERM') await runHalfWay(terminal);
      else await terminal.waitFor(/r run/);
      process.kill(terminal.pid, signal);
      if (signal === 'SIGTERM') {
        await terminal.waitFor(/run stopping, then leaving/);
        await openGate();
      }
    });
    assert.deepEqual(end, { code: 5, ...CLEAN }, signal);
  }

  const crash = `data:text/javascript,process.once('SIGUSR2',()=>{throw new Error('out of the blue')})`;
  const crashing = open({}, { env: { NODE_OPTIONS: `--import ${crash.replaceAll(' ', '%20')}` } });
  const crashed = await through(crashing, async () => {
    await crashing.waitFor(/r run/);
    process.kill(crashing.pid, 'SIGUSR2');
  });
  assert.deepEqual(crashed, { code: 3, ...CLEAN });
  assert.match(crashing.output, /out of the blue/);
});

test('without a terminal, and with options that have no place here, it is refused', async () => {
  const file = scene.config();
  for (const [args, pattern] of [
    [[], /needs a terminal/],
    [['--progress'], /shows progress and log itself/],
    [['--log-format', 'json'], /shows progress and log itself/],
  ] as [string[], RegExp][]) {
    const { code, stdout } = await runCli(['-c', file, 'tui', '--output-json', ...args]);
    assert.equal(code, 1);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; remedy: string } };
    assert.equal(error.code, 'USAGE');
    assert.match(error.message, pattern);
    assert.match(error.remedy, /run/);
  }
});

test('throughput as a picture', () => {
  const history = new History();
  for (let i = 1; i <= 8; i++) history.add({ atMs: i * 1000, rows: i <= 4 ? i * 100 : 400, bytes: 0 });
  const { lines, mostRowsPerSecond, spanMs } = plot(
    history.points({ atMs: 8000, rows: 400, bytes: 0 }),
    4,
    2,
  );
  assert.deepEqual(lines, ['\u28ff\u28ff\u2800\u2800', '\u28ff\u28ff\u2800\u2800']);
  assert.deepEqual([Math.round(mostRowsPerSecond), spanMs], [100, 8000]);
  assert.deepEqual(plot([], 2, 1).lines, ['\u2800\u2800']);
  assert.deepEqual(bar(0.5, 4), { filled: '\u2588\u2588', rest: '\u2591\u2591' });
  assert.deepEqual(bar(0.53125, 4), { filled: '\u2588\u2588\u258f', rest: '\u2591' });
  assert.deepEqual(bar(7, 2), { filled: '\u2588\u2588', rest: '' });
});

test('the list of tables: order, filter, columns that fit', () => {
  const tally = new Tally(() => 0);
  const table = (name: string, approximateRows: number) => ({ table: `dbo.${name}`, approximateRows });
  tally.consume({
    kind: 'run-started',
    runId: 'r',
    tables: [table('b', 10), table('a', 1000), table('\u001b[31mred', 5)],
  });
  tally.consume({ kind: 'table-started', table: 'dbo.a', partitions: 1 });
  tally.consume({ kind: 'rows', table: 'dbo.a', rows: 250, bytes: 1 });
  const { tables } = tally.snapshot();
  const names = (sort: 'plan' | 'name' | 'state') =>
    tableRows(null, tables, '', sort).map(({ snapshot }) => snapshot.table.slice(4, 5));
  assert.deepEqual(
    [names('plan').join(''), names('name').join(''), names('state')[0]],
    ['ba\u001b', '\u001bab', 'a'],
  );
  assert.equal(tableRows(null, tables, 'DBO.B', 'plan').length, 1);
  for (const width of [60, 80, 120]) {
    const { title, lines } = listing(tableRows(null, tables, '', 'plan'), width);
    for (const line of [title, ...lines]) assert.equal([...line].length, width - 2, `${width}: ${line}`);
    assert.ok(lines.every((line) => !line.includes('\u001b')));
    assert.match(lines[1]!, /dbo\.a .* (running|stopped) +25 %/);
  }
});
