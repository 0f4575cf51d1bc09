/**
 * What others deploy: manifests, workflow and DAG say what the tool understands.
 *
 * Runs on the main thread of the test process. The DAG runs under a stub of Airflow, where Python is installed.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { parse, parseAllDocuments } from 'yaml';
import { buildProgram } from '../src/commands/program.js';
import { EXIT } from '../src/errors.js';
import { repositoryRoot } from './support/repository.js';

const deploy = join(repositoryRoot, 'deploy');
const read = (...path: string[]): string => readFileSync(join(repositoryRoot, ...path), 'utf8');

/** Parses a command line as the tool does. @returns the command's name */
function understood(args: string[]): string {
  let name = '';
  const program = buildProgram(async (command: Command) => {
    name = command.name();
  });
  for (const each of [program, ...program.commands])
    each.exitOverride().configureOutput({ outputError: () => {} });
  program.parse(args, { from: 'user' });
  return name;
}

// biome-ignore lint/suspicious/noExplicitAny: manifests of several kinds, field by field
type Manifest = any;

function manifests(file: string): Manifest[] {
  return parseAllDocuments(read('deploy', 'kubernetes', file)).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
}

test('Kubernetes: each job runs a command line the tool understands, unprivileged and on files it may not write', () => {
  const [configMap, secret] = manifests('config.yaml');
  const jobs = readdirSync(join(deploy, 'kubernetes')).filter((file) => file !== 'config.yaml');
  assert.deepEqual(jobs.sort(), ['cronjob.yaml', 'indexed-job.yaml', 'job.yaml']);
  for (const file of jobs) {
    const [manifest] = manifests(file);
    assert.equal(manifest.apiVersion, 'batch/v1');
    const job = manifest.kind === 'CronJob' ? manifest.spec.jobTemplate.spec : manifest.spec;
    const pod = job.template.spec;
    const [container] = pod.containers;
    assert.equal(understood(container.args), 'run', file);

    assert.ok(pod.securityContext.runAsNonRoot && container.securityContext.readOnlyRootFilesystem);
    assert.equal(`${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}`, '1000:1000');
    // A pod failure policy is for pods that are not restarted in place.
    assert.equal(pod.restartPolicy, 'Never');
    const [noRetry] = job.podFailurePolicy.rules;
    assert.deepEqual(noRetry.onExitCodes.values, [EXIT.config, EXIT.validation, EXIT.state]);
    assert.equal(noRetry.onExitCodes.containerName, container.name);
    assert.ok(pod.terminationGracePeriodSeconds > 60, 'longer than the default --shutdown-timeout');

    const volumes = new Map<string, Manifest>(pod.volumes.map((volume: Manifest) => [volume.name, volume]));
    assert.equal(volumes.get('config').configMap.name, configMap.metadata.name);
    assert.equal(volumes.get('secrets').secret.secretName, secret.metadata.name);
    const mounted = new Map<string, string>(
      container.volumeMounts.map((mount: Manifest) => [mount.mountPath, mount.name]),
    );
    assert.deepEqual([...mounted.values()].sort(), [...volumes.keys()].sort());
    const given = container.args[container.args.indexOf('-c') + 1];
    assert.equal(given, `/config/${Object.keys(configMap.data)[0]}`);
    for (const [, path] of configMap.data['config.yaml'].matchAll(/\$\{file:([^}]+)\}/g)) {
      const [folder, key] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
      assert.equal(mounted.get(folder), 'secrets', path);
      assert.ok(key in secret.stringData, path);
    }
  }
});

test('compose and the workflow start servers of the versions that are supported', () => {
  const compose = parse(read('compose.yaml'));
  assert.deepEqual(Object.keys(compose.services), ['sqlserver', 'postgres', 'migrate']);
  assert.equal(compose.services.migrate.read_only, true);
  const script = read('scripts', 'test-against-sqlserver');
  for (const variable of [
    'MSSQL_PASSWORD',
    'MSSQL_PORT',
    'POSTGRES_PASSWORD',
    'POSTGRES_PORT',
    'ACCEPT_EULA',
  ]) {
    assert.ok(read('compose.yaml').includes(`\${${variable}:-`) && script.includes(variable), variable);
  }
  const workflow = parse(read('.github', 'workflows', 'ci.yml'));
  const { node } = workflow.jobs.test.strategy.matrix;
  const { mssql, include } = workflow.jobs.sqlserver.strategy.matrix;
  assert.deepEqual(node, ['20.19', '22', '24']);
  assert.ok(JSON.parse(read('package.json')).engines.node.endsWith(node[0]));
  assert.deepEqual([mssql[0], mssql.at(-1)], ['2017', '2025']);
  assert.deepEqual(
    include.map(({ postgres }: { postgres: string }) => postgres),
    ['14', '15', '16', '17'],
  );
});

test('shell scripts have no syntax errors', () => {
  for (const file of ['scripts/test-against-sqlserver', 'scripts/test', 'scripts/prepare', 'scripts/demo']) {
    const checked = spawnSync('bash', ['-n', join(repositoryRoot, file)], { encoding: 'utf8' });
    assert.equal(checked.status, 0, checked.stderr);
  }
});

const AIRFLOW_STUB = `
import sys, types, json
class AirflowException(Exception): pass
class AirflowFailException(AirflowException): pass
class Task:
    def __init__(self, function):
        self.function = function
        self.mapped = {}
    def __call__(self): tasks[self.function.__name__] = self; return self
    def partial(self, **fixed): self.mapped.update(fixed); return self
    def expand(self, **over):
        (self.over, upstream), = over.items()
        edges.append((upstream.function.__name__, self.function.__name__))
        self.upstream = upstream.function.__name__
        return self()
    def run(self, done):
        if not self.mapped: return self.function()
        fixed = {key: value.replace("{{ run_id }}", "manual__1") for key, value in self.mapped.items()}
        return [self.function(**{self.over: each}, **fixed) for each in done[self.upstream]]
    def __rshift__(self, other): edges.append((self.function.__name__, other.function.__name__)); return other
tasks, edges, dags = {}, [], {}
def task(function=None, **options): return Task(function) if function else Task
def dag(**options):
    def decorate(function):
        def make(): dags[function.__name__] = options; function()
        return make
    return decorate
class Variable:
    @staticmethod
    def get(name, default=None): return default or "/etc/" + name + ".yaml"
sdk = types.ModuleType("airflow.sdk"); sdk.Variable, sdk.dag, sdk.task = Variable, dag, task
exceptions = types.ModuleType("airflow.exceptions")
exceptions.AirflowException, exceptions.AirflowFailException = AirflowException, AirflowFailException
pendulum = types.ModuleType("pendulum"); pendulum.datetime = lambda *a, **k: (a, k)
sys.modules.update({"airflow": types.ModuleType("airflow"), "airflow.sdk": sdk, "airflow.exceptions": exceptions, "pendulum": pendulum})
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
sys.dont_write_bytecode = True
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "dag"})
outcome = {"dags": list(dags), "edges": edges, "results": {}}
for name, each in tasks.items():
    try: outcome["results"][name] = each.run(outcome["results"])
    except AirflowException as error: outcome["results"][name] = [type(error).__name__, str(error)]
print(json.dumps(outcome))
`;

test('the Airflow DAG runs, reads the result and tells what another try may mend', (t) => {
  if (spawnSync('python3', ['--version']).status !== 0) return t.skip('python3 is not installed');
  const folder = mkdtempSync(join(tmpdir(), 'mpm-airflow-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'bin'));
  const tool = join(folder, 'bin', 'mssql-pg-migrate');
  writeFileSync(join(folder, 'stub.py'), AIRFLOW_STUB);

  const importDag = (result: object, exitCode: number, dag = 'mssql_pg_migrate') => {
    const script = `#!/bin/sh\necho "$@" >> "${folder}/calls"\necho 'a log line' >&2\necho '${JSON.stringify(result)}'\nexit ${exitCode}\n`;
    writeFileSync(tool, script);
    chmodSync(tool, 0o755);
    const python = spawnSync('python3', [join(folder, 'stub.py'), join(deploy, 'airflow', `${dag}.py`)], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env.PATH}` },
      timeout: 30_000,
    });
    assert.equal(python.status, 0, python.stderr);
    return JSON.parse(python.stdout);
  };

  const good = {
    run_id: 'r',
    rows_transferred: 3,
    duration_seconds: 1,
    // Together more than a pipe holds.
    notes: Array(1000).fill('n'.repeat(100)),
    tables_matching: 2,
    tables_total: 2,
  };
  const done = importDag({ ...good, error: null }, 0);
  assert.deepEqual([done.dags, done.edges], [['mssql_pg_migrate'], [['migrate', 'verify']]]);
  assert.deepEqual(done.results.verify, { tables_matching: 2, tables_total: 2 });
  for (const line of readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')) {
    assert.ok(['run', 'verify'].includes(understood(line.split(' '))), line);
  }
  const lost = importDag(
    { error: { code: 'SOURCE_CONNECTION_LOST', message: 'gone', recoverable: true } },
    2,
  );
  assert.deepEqual(lost.results.migrate, ['AirflowException', 'SOURCE_CONNECTION_LOST: gone (exit code 2)']);
  const differ = importDag({ error: { code: 'ROWS_DIFFER', message: 'no', recoverable: false } }, 4);
  assert.deepEqual(differ.results.verify, ['AirflowFailException', 'ROWS_DIFFER: no (exit code 4)']);

  rmSync(join(folder, 'calls'));
  const ranges = { ...good, partitions: [{}, {}], error: null };
  const shared = importDag(ranges, 0, 'mssql_pg_migrate_shared');
  assert.deepEqual(shared.edges, [
    ['plan', 'migrate'],
    ['migrate', 'verify'],
  ]);
  assert.deepEqual(shared.results.plan, [0, 1], 'no more hosts than ranges');
  assert.deepEqual(
    shared.results.migrate.map(({ host, run_id }: { host: number; run_id: string }) => [host, run_id]),
    [
      [0, 'r'],
      [1, 'r'],
    ],
  );
  const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  assert.deepEqual(
    calls.map((line) => understood(line.split(' '))),
    ['plan', 'run', 'run', 'verify'],
  );
  assert.match(calls[1]!, /run --join manual__1$/);
  assert.deepEqual(
    importDag({ ...ranges, partitions: Array(9).fill({}) }, 0, 'mssql_pg_migrate_shared').results.plan,
    [0, 1, 2, 3],
  );
});
