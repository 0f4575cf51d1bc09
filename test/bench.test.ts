/**
 * The benchmark with next to no rows: that it measures what it says, checks every answer, and compares runs.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compareFiles } from '../bench/compare.js';
import { microTable, runMicro } from '../bench/micro/micro.js';
import { withPeers } from '../bench/peers.js';
import { plotsOf } from '../bench/plots.js';
import {
  type BenchFile,
  benchFile,
  hostLines,
  peerLines,
  resultTable,
  targetTable,
} from '../bench/report.js';
import { type Round, runScenarios, type ScenarioResult } from '../bench/run.js';
import { PEERS, quickScenarios, scenario, shared } from '../bench/scenarios.js';
import { checkLoaded, type Scene, startScene } from '../bench/scene.js';
import { shapes } from '../bench/shapes.js';
import { type Stage, startStage } from '../bench/stage.js';
import { verdicts } from '../bench/targets.js';
import { sharedPostgres } from './support/postgres.js';

let stage: Stage;

before(async () => {
  stage = await startStage({ postgres: await sharedPostgres() });
});
after(() => stage.stop());

test('product and contenders bring the same rows, compare and mend them, and are measured', async () => {
  const scenarios = [
    scenario('votes', 'full', 1234, { against: ['alone', 'objects'], writers: 2 }),
    // The source hashes in one of them and can't in the other.
    scenario('votes', 'upsert-percent', 450),
    scenario('votes', 'verify-streamed', 450),
  ];
  const results = await runScenarios(stage, { scenarios, rounds: 1, templateRows: 200, say: () => {} });
  const [full, ...compared] = results;
  const [round] = full?.rounds ?? [];
  assert.ok(full !== undefined && round?.alone !== undefined && round.objects !== undefined);
  for (const one of [round.product, round.alone, round.objects]) {
    assert.ok(one.rowsPerSecond > 0 && one.cpuPerMillionRows > 0 && one.peakRssBytes > 1e7);
  }
  assert.ok(full.ratios.ofAlone! > 0 && full.ratios.objectsCpu! > 0);
  // One token byte, a bitmap or NULL markers, and five to six numbers.
  assert.ok(full.tdsBytesPerRow! > 20 && full.tdsBytesPerRow! < 60, String(full.tdsBytesPerRow));
  for (const { rounds } of compared) assert.ok(rounds[0]!.product.whole.seconds > 0);
  const file = await benchFile(stage, results);
  assert.match(resultTable(file.results), /^votes full 1234 1x2 .* \d+\.\d\dx? /m);
  assert.match(targetTable(file.targets), /votes, two writers: rate \/ PostgreSQL alone/);
});

test('other tools, as far as they are installed, bring the same rows from the same source', async (t) => {
  const said: string[] = [];
  const scenarios = withPeers([scenario('votes', 'full', 1234, { against: [] })], (line) => said.push(line));
  const peers = PEERS.filter((peer) => scenarios[0]!.against.includes(peer));
  assert.equal(said.length > 0, peers.length < PEERS.length, said.join('\n'));
  if (peers.length === 0) return t.skip(said.join('; '));
  const results = await runScenarios(stage, { scenarios, rounds: 1, templateRows: 200, say: () => {} });
  for (const peer of peers) assert.ok(results[0]!.ratios[`${peer}Time`]! > 0);
  assert.equal(peerLines(results).length, peers.length);
});

test('processes that share a run bring the same rows, beside one that has it alone', async () => {
  const scenarios = [shared(2, scenario('votes', 'full', 1234))];
  const results = await runScenarios(stage, { scenarios, rounds: 1, templateRows: 200, say: () => {} });
  const [{ product, single }] = results[0]!.rounds as [Round];
  assert.ok(product.cpuPerMillionRows > single!.cpuPerMillionRows);
  assert.equal(results[0]!.ratios.singleTime, single!.whole.seconds / product.whole.seconds);
  const [line] = hostLines(await benchFile(stage, results));
  assert.match(
    line!,
    /^votes full 1234 1x1 2 hosts: [\d.]+ s, one process [\d.]+ s: [\d.]+ times as fast on \d+ cores$/,
  );
});

test('rows that are wrong do not pass', async () => {
  const scene: Scene = await startScene(stage, shapes.decimals, 50);
  try {
    await scene.client.query('CREATE TABLE loaded AS SELECT * FROM bench.template');
    await checkLoaded(scene, 'loaded', 50, 'a test');
    await assert.rejects(checkLoaded(scene, 'loaded', 51, 'a test'), /rows 50, expected 51/);
    await scene.client.query('UPDATE loaded SET "Price" = "Price" + 0.01 WHERE "Id" = 7');
    await assert.rejects(checkLoaded(scene, 'loaded', 50, 'a test'), /wrong rows.*hashes/);
    await scene.client.query('UPDATE loaded SET "Price" = "Price" - 0.01 WHERE "Id" = 7');
    await scene.client.query('UPDATE loaded SET "Id" = 15 - "Id" WHERE "Id" IN (7, 8)');
    await assert.rejects(checkLoaded(scene, 'loaded', 50, 'a test'), /wrong rows.*paired/);
  } finally {
    await scene.stop();
  }
});

/** A run of which nothing but the rate and the CPU of one scenario is of interest. */
function fileOf(rate: number, cpu: number): BenchFile {
  const product = {
    rowsPerSecond: rate,
    steady: true,
    whole: { seconds: 1, rowsPerSecond: rate },
    program: { seconds: 2, cpuPerMillionRows: 1 },
    cpuPerMillionRows: cpu,
    tiersPerMillionRows: null,
    backendPerMillionRows: 0.4,
    peakRssBytes: 2e8,
    threads: null,
  };
  const alone = { ...product, rowsPerSecond: 1e6 };
  const results: ScenarioResult[] = [
    {
      name: 'votes full 1M 1x1',
      scenario: scenario('votes', 'full', 1_000_000),
      tdsBytesPerRow: 22,
      sourceCpuPerMillionRows: 0.1,
      rounds: [{ product, alone }],
      ratios: {
        ofAlone: rate / 1e6,
        cpuOfBackend: cpu / 0.4,
        objectsCpu: null,
        freebcpTime: null,
        pgloaderTime: null,
        singleTime: null,
      },
    },
  ];
  return {
    machine: {
      date: '2026-01-02T03:04:05.000Z',
      commit: 'abc',
      node: 'v20.19.0',
      postgres: '18.0',
      platform: 'linux x64',
      cpu: 'a processor',
      cores: 2,
      memoryBytes: 2 ** 33,
    },
    results,
    targets: verdicts(results),
  };
}

test('two runs are compared: what is better, what is worse, which targets are met', () => {
  const text = compareFiles(fileOf(0.9e6, 0.2), fileOf(0.97e6, 0.1));
  assert.match(text, /votes full 1M 1x1 +900 K +970 K +\+8 % better .* 0\.20 +0\.10 +-50 % better/);
  assert.match(text, /now met: votes, one writer: rate \/ PostgreSQL alone \(0\.90 -> 0\.97\)/);
  const back = compareFiles(fileOf(0.97e6, 0.1), fileOf(0.9e6, 0.2));
  assert.match(back, /-7 % WORSE .* \+100 % WORSE/);
  assert.match(back, /NO LONGER MET: votes: engine CPU \/ PostgreSQL CPU/);
});

test('a target takes the median of its figure, whatever the rate of that round', () => {
  const [plain] = fileOf(1e6, 0.1).results;
  const hashed: ScenarioResult = {
    ...plain!,
    scenario: { ...plain!.scenario, mode: 'full-hash' },
    rounds: [
      [0.9e6, 0.15],
      [0.8e6, 0.3],
      [0.7e6, 0.14],
    ].map(([rowsPerSecond, cpuPerMillionRows]) => {
      const [{ product }] = plain!.rounds as [ScenarioResult['rounds'][number]];
      return {
        product: { ...product, rowsPerSecond: rowsPerSecond!, cpuPerMillionRows: cpuPerMillionRows! },
      };
    }),
  };
  const found = verdicts([plain!, hashed]).find(({ target }) =>
    target.startsWith('votes: engine CPU with row_hash'),
  );
  assert.equal(found?.value?.toFixed(3), '1.500');
  assert.equal(found.met, true);
});

test('plots are drawn of what a run has: shapes beside each other, and how rows and lanes count', () => {
  const one = fileOf(1e6, 0.2);
  assert.equal(plotsOf(one).size, 0);
  const [votes] = one.results;
  const like = (changes: Partial<ScenarioResult['scenario']>): ScenarioResult => ({
    ...votes!,
    scenario: { ...votes!.scenario, ...changes },
  });
  one.results.push(like({ shape: 'posts' }), like({ rows: 10_000_000 }), like({ lanes: 2 }));
  const plots = plotsOf(one);
  assert.deepEqual([...plots.keys()], ['throughput.svg', 'rows.svg', 'lanes.svg']);
  for (const plot of plots.values()) assert.match(plot, /^<svg [^>]*>[\s\S]*<\/svg>\n$/);
  // 1,000,000 rows/s of 22 bytes each.
  assert.match(plots.get('throughput.svg')!, />22<\/text>[\s\S]*>posts<\/text>/);
  assert.match(plots.get('rows.svg')!, /<polyline points="[\d.]+,[\d.]+ [\d.]+,[\d.]+"/);
});

test('every hot function answers as it should, and takes time', () => {
  const results = runMicro({ milliseconds: 1 });
  for (const part of ['transcoder', 'row hash', 'decimal', 'timestamp', 'UTF-16', 'MD5', 'ring']) {
    const found = results.filter(({ name }) => name.startsWith(part));
    assert.ok(found.length > 0 && found.every(({ nanoseconds }) => nanoseconds > 0), part);
  }
  assert.equal(microTable(results).split('\n').length, results.length + 2);
});

test('a quick run says something to every target', () => {
  const names = quickScenarios().map(({ shape, mode, writers }) => `${shape} ${mode} ${writers}`);
  for (const shape of ['votes', 'comments', 'posts']) {
    assert.ok(names.includes(`${shape} full 1`) && names.includes(`${shape} full 2`), shape);
  }
  for (const { limit, met } of verdicts([])) {
    assert.match(limit, /^at (least|most) /);
    assert.equal(met, null);
  }
});
