/**
 * What a run can be watched by: metrics scraped in the middle of one, and the report that a browser shows of it.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { VerifyResult } from '../src/observe/commandSchemas.js';
import { niceTicks } from '../src/observe/report/charts.js';
import { html } from '../src/observe/report/html.js';
import type { RunResult } from '../src/observe/schemas.js';
import { runCli } from './support/cli.js';
import { oneLineOfJson, type Scene, startScene } from './support/endToEnd.js';

let scene: Scene;
let browser: Browser | null = null;

before(async () => {
  scene = await startScene(
    'report',
    `CREATE TABLE dbo.Big (Id int NOT NULL PRIMARY KEY, Text nvarchar(200) NOT NULL, At datetime2(7) NULL,
  CONSTRAINT CK_Order CHECK (Text > N''));
GO
INSERT INTO dbo.Big (Id, Text) VALUES ${Array.from({ length: 500 }, (_, i) => `(${i}, N'row ${i}')`).join(', ')};
GO
CREATE TABLE dbo.[<b>&"x] (Id int NOT NULL PRIMARY KEY, Value varchar(10) NOT NULL);
GO
INSERT INTO dbo.[<b>&"x] (Id, Value) VALUES (1, 'ok'), (2, 'nul' + CHAR(0));
`,
  );
});

after(async () => {
  await browser?.close();
  await scene?.stop();
});

/** A browser, or null and a printed reason where this machine has none. */
async function openPage(t: TestContext, file: string): Promise<Page | null> {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const executablePath = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (executablePath === undefined) {
    t.skip('no Chromium on PATH');
    return null;
  }
  browser ??= await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const page = await browser.newPage({ colorScheme: 'dark' });
  const wrong: string[] = [];
  page.on('console', (message) => wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  const address = pathToFileURL(file).href;
  page.on('request', (request) => {
    if (request.url() !== address) wrong.push(`asked for ${request.url()}`);
  });
  await page.goto(address);
  assert.deepEqual(wrong, []);
  return page;
}

/** @returns the texts of a table's cells, row by row. */
function cells(page: Page, table: string): Promise<string[][]> {
  return page.$$eval(`#${table} tbody tr`, (rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.innerText.trim())),
  );
}

async function scrape(url: string): Promise<Map<string, number>> {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

test('values in a page are escaped', () => {
  assert.equal(
    html`<p title="${'"\'&<>'}">${['a<', html`<b>${null}</b>`]}</p>`.text,
    '<p title="&quot;&#39;&amp;&lt;&gt;">a&lt;<b></b></p>',
  );
  assert.deepEqual(
    [niceTicks(7, 4), niceTicks(1, 4)[1], niceTicks(8_100, 4).at(-1)],
    [[0, 2, 4, 6, 8], 0.5, 10_000],
  );
});

test('metrics in the middle of a run, and its report', async (t) => {
  // The first run makes the ledger. Its lock then holds the second one right before a commit.
  const config = ['-c', scene.config()];
  await runCli([...config, 'run']);
  await scene.client.query('BEGIN');
  await scene.client.query(
    'LOCK TABLE mssql_pg_migrate.chunks, mssql_pg_migrate.unlogged_chunks IN EXCLUSIVE MODE',
  );
  const file = join(scene.directory, 'run.html');
  let log = '';
  const running = runCli(
    ['--output-json', ...config, 'run', '--fresh', '--metrics-port', '0', '--report', file],
    {
      onStderr: (text) => {
        log += text;
      },
    },
  );
  let during = new Map<string, number>();
  try {
    for (let tries = 0; tries < 400; tries++) {
      const url = /metrics at (\S+)/.exec(log)?.[1];
      if (url !== undefined) during = await scrape(url);
      if ((during.get('mssql_pg_migrate_rows_in_flight') ?? 0) >= 500) break;
      await sleep(50);
    }
    // What the writer waits for shows once a sample was taken of it.
    await sleep(600);
    during = await scrape(/metrics at (\S+)/.exec(log)![1]!);
    const other = await fetch(/metrics at (\S+)/.exec(log)![1]!.replace('/metrics', '/'));
    assert.equal(other.status, 404);
  } finally {
    await scene.client.query('ROLLBACK');
  }
  const { code, stdout, stderr } = await running;
  assert.equal(code, 3, stderr);
  const value = (name: string) => during.get(`mssql_pg_migrate_${name}`);
  assert.equal(value('rows_in_flight'), 500);
  assert.equal(value('rows_committed_total{table="dbo.Big"}'), 0);
  assert.equal(value('chunks_committed_total{table="dbo.Big"}'), 0);
  assert.equal(value('phase{phase="transfer"}'), 1);
  assert.ok(value('tables{state="running"}')! >= 1);
  assert.ok(value('tier_seconds_total{tier="writer",activity="waiting_for_target"}')! > 0.2);
  assert.equal(value('ring_fill_ratio') === undefined, false);
  assert.ok([...during.keys()].some((key) => /^mssql_pg_migrate_info\{.*command="run".*\}$/.test(key)));
  assert.ok(during.has('process_cpu_seconds_total'));
  const gone = await fetch(/metrics at (\S+)/.exec(log)![1]!).catch(() => null);
  assert.equal(gone, null, 'metrics are still served after the run');

  const result = oneLineOfJson(stdout) as RunResult;
  assert.deepEqual(result.failed_tables, ['dbo.<b>&"x']);
  assert.ok(!/(?:src|href)=|url\(|@import/.test(readFileSync(file, 'utf8')), 'the page asks for something');
  const page = await openPage(t, file);
  if (page === null) return;
  const text = (selector: string) => page.innerText(selector);
  assert.deepEqual(
    [await text('#status'), await text('#rows'), await text('#tables'), await text('#retries')],
    ['failed', '500', '1 of 2', '0'],
  );
  assert.deepEqual(JSON.parse((await page.textContent('#result')) ?? ''), result);
  assert.deepEqual(
    (await cells(page, 'table-list')).map((row) => row.slice(0, 3)),
    [
      ['dbo.Big to public', 'success', '500'],
      ['dbo.<b>&"x to public', 'failed', '0'],
    ],
  );
  assert.deepEqual(
    (await cells(page, 'left-out')).map(([table, kind]) => [table, kind]),
    result.tables.flatMap((one) => one.left_out.map(({ kind }) => [one.table, kind])),
  );
  assert.ok(result.tables.some(({ left_out }) => left_out.length > 0));
  assert.match(await text('main'), /VALUE_UNREPRESENTABLE/);
  assert.match(await text('main'), /loses 7th fractional digit/);
  assert.match(await text('main'), /waiting for PostgreSQL/);
  // Every chart says in words what it shows, and fits the page.
  const charts = await page.$$eval('svg.chart', (all) =>
    all.map((chart) => [
      chart.getAttribute('role'),
      chart.getAttribute('aria-label') !== '',
      chart.clientWidth > 300,
    ]),
  );
  assert.ok(charts.length >= 3);
  for (const chart of charts) assert.deepEqual(chart, ['img', true, true]);
  const dark = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  await page.emulateMedia({ colorScheme: 'light' });
  assert.notEqual(await page.evaluate('getComputedStyle(document.body).backgroundColor'), dark);
});

test('the report of a verification names what differs', async (t) => {
  await scene.client.query(`UPDATE "Big" SET "Text" = '<i>' WHERE "Id" = 7`);
  await scene.client.query(`DELETE FROM "Big" WHERE "Id" IN (1, 2)`);
  const file = join(scene.directory, 'verify.html');
  const config = ['-c', scene.config({ migration: { include_tables: ['Big'] } })];
  const { code, stdout, stderr } = await runCli([
    ...['--output-json', ...config, 'verify'],
    ...['--details', '5', '--report', file],
  ]);
  assert.equal(code, 4, stderr);
  const result = oneLineOfJson(stdout) as VerifyResult;
  const page = await openPage(t, file);
  if (page === null) return;
  assert.deepEqual(JSON.parse((await page.textContent('#result')) ?? ''), result);
  const [row] = await cells(page, 'table-list');
  assert.deepEqual(row?.slice(0, 7), ['dbo.Big to public', 'differs', '500', '498', '2', '1', '0']);
  assert.deepEqual(
    await page.$$eval('#differences li', (items) => items.map((item) => item.textContent).sort()),
    ['"1"', '"2"', '"7"'],
  );
});

test('a report or a port that can not be had is said before anything is done', async () => {
  const config = ['-c', scene.config()];
  for (const nowhere of [join(scene.directory, 'nowhere', 'run.html'), scene.directory]) {
    const report = await runCli(['--output-json', ...config, 'run', '--report', nowhere]);
    assert.equal(report.code, 7, report.stderr);
    assert.match(report.stdout, /"code":"IO"/);
    assert.match(report.stdout, /"run_id":null/);
  }
  const port = String(scene.target.connection.port);
  const metrics = await runCli(['--output-json', ...config, 'run', '--metrics-port', port]);
  assert.equal(metrics.code, 7, metrics.stderr);
  const dry = await runCli([...config, 'run', '--dry-run', '--report', 'x.html']);
  assert.equal(dry.code, 1);
});
