/**
 * The pages of `docs/` say what the code says: their generated parts, their links, and their worked examples.
 *
 * Runs on the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { exampleHash, exampleSql, HASH_EXAMPLES } from '../scripts/docs/hashExamples.js';
import { filledPages, generatedParts, placesIn } from '../scripts/docs/pages.js';
import { buildProgram } from '../src/commands/program.js';
import { configOf } from '../src/config/load.js';
import { createRowHasher } from '../src/hash/rowHasher.js';
import { int16, int32 } from './support/hashOracle.js';
import { sharedPostgres } from './support/postgres.js';
import { repositoryRoot } from './support/repository.js';

const pages = filledPages(repositoryRoot);

test('the generated parts are what the code generates (write them with `npm run docs`)', () => {
  for (const { file, found, filled } of pages) assert.equal(found, filled, file);
});

test('every generated part has one place', () => {
  assert.deepEqual(pages.flatMap(({ found }) => placesIn(found)).sort(), [...generatedParts().keys()].sort());
});

test('every link leads to a file and a heading that are there', () => {
  const wrong: string[] = [];
  for (const file of ['README.md', ...pages.map((page) => page.file)]) {
    const text = readFileSync(join(repositoryRoot, file), 'utf8');
    for (const [, link] of text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path, anchor] = link!.split('#');
      const target = path === '' ? join(repositoryRoot, file) : join(repositoryRoot, dirname(file), path!);
      if (!existsSync(target)) wrong.push(`${file}: ${link}`);
      else if (anchor !== undefined && !anchorsOf(target).includes(anchor)) wrong.push(`${file}: ${link}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every page is in the index', () => {
  const index = readFileSync(join(repositoryRoot, 'docs/README.md'), 'utf8');
  for (const name of readdirSync(join(repositoryRoot, 'docs'))) {
    if (name !== 'README.md') assert.ok(index.includes(`](${name})`), name);
  }
});

test('every command line in the pages is one that the program takes', () => {
  const program = buildProgram(async () => {});
  const wrong: string[] = [];
  let seen = 0;
  for (const file of ['README.md', ...pages.map((page) => page.file)]) {
    const text = readFileSync(join(repositoryRoot, file), 'utf8');
    // In blocks, and in the text; what stands behind a command line is told from it by a comment or two blanks.
    for (const [, line] of text.matchAll(/(?:^\s*|`)mssql-pg-migrate ([^\n`]+)/gm)) {
      const words = line!
        .split(/ {2}| #| [|>] /)[0]!
        .trim()
        .split(/\s+/);
      const command = program.commands.find((each) => words.includes(each.name()));
      const known = [...program.options, ...(command?.options ?? [])].flatMap(({ short, long }) => [
        short,
        long,
      ]);
      const options = words.filter((word) => /^--?[a-z]/.test(word) && word !== '--help');
      seen++;
      if (options.some((option) => !known.includes(option))) wrong.push(`${file}: ${line}`);
      if (command === undefined && !words.includes('--version')) wrong.push(`${file}: ${line}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 40, `only ${seen} command lines were found`);
});

test('every configuration in the pages is one', () => {
  for (const file of ['README.md', ...pages.map((page) => page.file)]) {
    const text = readFileSync(join(repositoryRoot, file), 'utf8');
    for (const [, yaml] of text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)) {
      const { source, target, migration } = parse(yaml!);
      const login = { host: 'h', database: 'd', user: 'u', password: 'not-a-password' };
      const whole = { source: { ...login, ...source }, target: { ...login, ...target }, migration };
      assert.doesNotThrow(() => configOf(whole), file);
    }
  }
});

test('the worked examples have the hash that the hash tier and PostgreSQL compute', async () => {
  const server = await sharedPostgres();
  const client = await server.client();
  try {
    for (const example of HASH_EXAMPLES) {
      const { rows } = await client.query<{ md5: string }>(exampleSql(example));
      assert.equal(rows[0]?.md5, exampleHash(example), example.title);

      const fields = example.columns.map(({ content }) =>
        Buffer.concat([int32(content?.length ?? -1), content ?? Buffer.alloc(0)]),
      );
      const row = [int16(fields.length + 1), ...fields, int32(32), Buffer.alloc(32, '?')];
      const tuple = Buffer.concat(row);
      const memory = Buffer.from(new SharedArrayBuffer(tuple.length));
      tuple.copy(memory);
      const hasher = createRowHasher(example.columns.map((column) => ({ ...column, hashed: true })));
      assert.equal(hasher.hashSlot(new DataView(memory.buffer), 0, memory.length), 1);
      assert.equal(memory.toString('latin1', memory.length - 32), exampleHash(example), example.title);
    }
  } finally {
    await client.end();
    await server.stop();
  }
});

/** As forges make them of headings. */
function anchorsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
