/**
 * The benchmark's command line. Main thread.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compareFiles } from './compare.js';
import { microTable, runMicro } from './micro/micro.js';
import { withPeers } from './peers.js';
import { plotsOf } from './plots.js';
import { type BenchFile, benchFile, hostLines, peerLines, resultTable, targetTable } from './report.js';
import { runScenarios } from './run.js';
import { MODES, type Mode, SHARED_MODES } from './runs.js';
import { fullScenarios, quickScenarios, type Scenario, scenario, shared, type Tls } from './scenarios.js';
import { SHAPE_NAMES, shapes } from './shapes.js';
import { startStage } from './stage.js';
import { verdicts } from './targets.js';

const USAGE = `usage: npm run bench -- [options]
  --quick               everything the targets ask for, in about three minutes
  --shape <a,b>         shapes: ${SHAPE_NAMES.join(', ')}
  --mode <a,b>          modes: ${MODES.join(', ')}
  --rows <n>            rows of each (default: a quick run's)
  --writers <n>         writing connections behind one reader (default 1)
  --lanes <n>           reading streams, each with its own writers (default 1)
  --hosts <n>           processes that share the run (run --join), each with so many lanes and writers
  --tls <sides>         none, source, target or both (default none)
  --objects             also run row objects
  --peers               also run FreeTDS's freebcp with psql, and pgloader, as far as they are installed
  --rounds <n>          times each scenario is run, the contenders in turn (default 1)
  --output <file>       write the results as JSON
  --plots <folder>      write plots as SVG; with --from, of an earlier run's results
  --from <file>         measure nothing: show the results of this file again
  --micro               time the hot functions one by one, and nothing else
  --compare <a> <b>     show what changed between two such files, and measure nothing
Without --quick, --shape and --mode everything is measured, which takes long.
TEST_PG_URL names a PostgreSQL to load into, in place of one of its own.`;

function refuse(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    shape: { type: 'string' },
    mode: { type: 'string' },
    rows: { type: 'string' },
    writers: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '1' },
    hosts: { type: 'string' },
    tls: { type: 'string', default: 'none' },
    objects: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' },
    output: { type: 'string' },
    plots: { type: 'string' },
    from: { type: 'string' },
    micro: { type: 'boolean', default: false },
    compare: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 1
    ? value
    : refuse(`--${option} takes a whole number from 1`);
}

function choices<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): Name[] {
  if (text === undefined) return [];
  return text.split(',').map((name) => {
    const found = known.find((one) => one === name.trim());
    return found ?? refuse(`--${option} ${name} is none of ${known.join(', ')}`);
  });
}

/** @returns how many processes share a run of this mode. */
function sharing(mode: Mode): number {
  if (!SHARED_MODES.includes(mode)) refuse(`--hosts goes with --mode ${SHARED_MODES.join(', ')}`);
  return wholeNumber('hosts', values.hosts!);
}

function chosenScenarios(): Scenario[] {
  if (values.quick) return quickScenarios();
  if (values.shape === undefined && values.mode === undefined) return fullScenarios();
  const chosenShapes = choices('shape', values.shape, SHAPE_NAMES);
  const chosenModes = choices('mode', values.mode, MODES);
  const [tls] = choices<Tls>('tls', values.tls, ['none', 'source', 'target', 'both']);
  const writers = wholeNumber('writers', values.writers);
  const lanes = wholeNumber('lanes', values.lanes);
  return (chosenShapes.length === 0 ? SHAPE_NAMES : chosenShapes).flatMap((shape) =>
    (chosenModes.length === 0 ? (['full'] as const) : chosenModes).map((mode) => {
      const rows = values.rows === undefined ? shapes[shape].quickRows : wholeNumber('rows', values.rows);
      const made = scenario(shape, mode, rows, { writers, lanes, tls: tls ?? 'none' });
      if (values.hosts !== undefined) return shared(sharing(mode), made);
      if (values.objects) made.against.push('objects');
      return made;
    }),
  );
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const note = (line: string) => process.stderr.write(`${line}\n`);

if (values.help) {
  say(USAGE);
  process.exit(0);
}
if (values.compare !== undefined) {
  const [before, after] = [values.compare, positionals[0] ?? refuse('--compare takes two files')].map(
    (file) => JSON.parse(readFileSync(file, 'utf8')) as BenchFile,
  );
  say(compareFiles(before!, after!));
  process.exit(0);
}
if (values.micro) {
  say(microTable(runMicro({ milliseconds: 400 })));
  process.exit(0);
}
if (positionals.length > 0) refuse(`what is ${positionals[0]}?`);
if (values.from !== undefined) {
  const file = JSON.parse(readFileSync(values.from, 'utf8')) as BenchFile;
  show({ ...file, targets: verdicts(file.results) });
} else {
  const scenarios = values.peers ? withPeers(chosenScenarios(), note) : chosenScenarios();
  show(await measureAll(scenarios, wholeNumber('rounds', values.rounds)));
}

async function measureAll(scenarios: readonly Scenario[], rounds: number): Promise<BenchFile> {
  const stage = await startStage();
  try {
    return await benchFile(stage, await runScenarios(stage, { scenarios, rounds, say: note }));
  } finally {
    await stage.stop();
  }
}

/** Prints a run's tables and writes what was asked for. */
function show(file: BenchFile): void {
  const { machine } = file;
  say(
    `\n${machine.date}  commit ${machine.commit ?? 'unknown'}  Node ${machine.node}  PostgreSQL ${machine.postgres}` +
      `\n${machine.cpu}, ${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB\n`,
  );
  say(resultTable(file.results));
  for (const line of ['', ...peerLines(file.results), ...hostLines(file)]) say(line);
  say(targetTable(file.targets));
  if (values.output !== undefined) {
    writeFileSync(values.output, `${JSON.stringify(file, null, 1)}\n`);
    note(`written: ${values.output}`);
  }
  if (values.plots === undefined) return;
  mkdirSync(values.plots, { recursive: true });
  for (const [name, plot] of plotsOf(file)) {
    writeFileSync(join(values.plots, name), plot);
    note(`written: ${join(values.plots, name)}`);
  }
}
