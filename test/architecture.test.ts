/** The house rules of the source tree: who may import whom, and what every file must have or must not. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from './support/repository.js';

/** Files that everything may import; one of them only those behind it. */
const leaves = ['errors', 'secrets'];

/** Data flows down this list: a folder imports itself, folders above it, and the leaves. */
const order = [
  'config',
  'host',
  'wasm',
  'tds',
  'copy',
  'types',
  'translate',
  'ring',
  'source',
  'target',
  'plan',
  'read',
  'hash',
  'write',
  'checkpoint',
  'finalize',
  'verify',
  'engine',
  'observe',
  'library',
  'index',
  'terminal',
  'commands',
  'cli',
];

/** Imports against the order, each with its reason. `typeOnly` ones are gone after compilation. */
const exceptions: { from: string; to: string; typeOnly: boolean; reason: string }[] = [
  {
    from: 'src/types/',
    to: 'src/source/model.ts',
    typeOnly: true,
    reason: 'a type family is chosen by what the source catalog says of a column: plain data',
  },
  {
    from: 'src/tds/',
    to: 'src/copy/codepages.ts',
    typeOnly: true,
    reason: 'a collation on the wire names its encoding in the words of the code that transcodes it',
  },
];

interface Import {
  file: string;
  target: string;
  typeOnly: boolean;
}

const files = ['src', 'workers'].flatMap((folder) =>
  readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`),
);
const textOf = (file: string) => readFileSync(join(repositoryRoot, file), 'utf8');

/** Static imports, re-exports and `import()` of relative modules; comments cannot hide or fake one. */
function importsOf(file: string): Import[] {
  const text = textOf(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const statement =
    /\b(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?'(\.[^']+)'|\bimport\(\s*'(\.[^']+)'\s*\)/g;
  return [...text.matchAll(statement)].map((match) => ({
    file,
    target: sourceOf(normalize(join(dirname(file), (match[2] ?? match[3]) as string))),
    typeOnly: match[1] !== undefined,
  }));
}

/** The file a compiled one is made of. */
function sourceOf(target: string): string {
  const plain = target.replace(/\.js$/, '.ts');
  return files.includes(`${plain}x`) ? `${plain}x` : plain;
}

/** `src/ring/layout.ts` is of `ring`, `src/cli.ts` of `cli`, `src/errors.ts` of `errors`, a worker of `workers`. */
function folderOf(file: string): string {
  const [top, ...rest] = file.split('/');
  return top === 'src' ? (rest[0] as string).replace(/\.tsx?$/, '') : (top as string);
}

const isExcepted = (one: Import) =>
  exceptions.some(
    ({ from, to, typeOnly }) =>
      one.file.startsWith(from) && one.target.startsWith(to) && (one.typeOnly || !typeOnly),
  );

test('every folder of src has its place in the order', () => {
  const unknown = new Set(files.filter((file) => file.startsWith('src/')).map(folderOf));
  for (const name of [...order, ...leaves]) unknown.delete(name);
  assert.deepEqual([...unknown], []);
});

test('imports follow the order of the folders', () => {
  const wrong: string[] = [];
  for (const one of files.flatMap(importsOf)) {
    const from = folderOf(one.file);
    const to = folderOf(one.target);
    if (leaves.indexOf(to) > leaves.indexOf(from) || from === to || isExcepted(one)) continue;
    // A worker's entry is the outermost layer of its thread: it may import any folder, and nobody imports it.
    const allowed = from === 'workers' ? order.includes(to) : order.indexOf(to) < order.indexOf(from);
    if (!allowed || to === 'workers' || leaves.includes(from))
      wrong.push(`${one.file} imports ${one.target}`);
  }
  assert.deepEqual(wrong, []);
});

test('every exception to the order is needed', () => {
  const imports = files.flatMap(importsOf);
  for (const { from, to } of exceptions) {
    assert.ok(
      imports.some((one) => one.file.startsWith(from) && one.target.startsWith(to)),
      `nothing in ${from} imports ${to} any more: drop the exception`,
    );
  }
});

test('every relative import names a file that is there', () => {
  const known = new Set(files);
  const missing = files
    .flatMap(importsOf)
    .filter(({ target }) => /\.tsx?$/.test(target) && !known.has(target))
    .map(({ file, target }) => `${file} imports ${target}`);
  assert.deepEqual(missing, []);
});

test('one file touches the private seam of tedious', () => {
  const touching = files.filter((file) => textOf(file).includes('createTokenStreamParser'));
  assert.equal(touching.length, 1, `expected exactly one file: ${touching.join(', ')}`);
});

test('tedious is loaded by one file, behind what puts off its cloud logins', () => {
  const loading = files.filter(
    (file) => /^(src|workers)\//.test(file) && /from 'tedious'/.test(textOf(file)),
  );
  assert.deepEqual(loading, ['src/tds/driver.ts']);
});

test('every file says first what it is for', () => {
  const silent = files.filter((file) => !/^(#!.*\n)?\/\*\*/.test(textOf(file)));
  assert.deepEqual(silent, []);
});

test('no path of somebody’s machine is in the tree', () => {
  const found = files.filter((file) =>
    /['"`(\s](\/home\/|\/root\/|\/Users\/|\/work\/|[A-Z]:\\\\Users)/.test(textOf(file)),
  );
  assert.deepEqual(found, []);
});

test('files can be read at a sitting', () => {
  const long = files
    .map((file) => ({ file, lines: textOf(file).split('\n').length }))
    .filter(({ lines }) => lines > 400);
  assert.deepEqual(long, []);
});
