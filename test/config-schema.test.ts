/**
 * The JSON Schema for editors, and the README, name what the program knows.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configJsonSchema } from '../src/config/json-schema.js';
import { allPaths } from '../src/config/tidy.js';

/** A file at the project's root, from wherever the tests were built to. */
function projectFile(name: string): string {
  const built = new URL(`../../${name}`, import.meta.url);
  return readFileSync(existsSync(built) ? built : name, 'utf8');
}

interface Node {
  type?: string;
  properties?: Record<string, Node>;
  additionalProperties?: boolean;
  description?: string;
  default?: unknown;
  required?: string[];
}

test('config.schema.json is what the definitions generate (write it with the command config-schema)', () => {
  assert.equal(projectFile('config.schema.json'), configJsonSchema());
});

test('the JSON Schema has every key, described, and refuses others', () => {
  const schema = JSON.parse(configJsonSchema()) as Node;
  assert.deepEqual(schema.required, ['source', 'target']);
  for (const path of allPaths()) {
    let node: Node | undefined = schema;
    for (const key of path) {
      assert.equal(node?.additionalProperties, false, `${path.join('.')} lies in an open section`);
      node = node?.properties?.[key];
    }
    assert.ok(node !== undefined, path.join('.'));
    if (node.properties === undefined) assert.ok(node.description, `${path.join('.')} has no description`);
  }
});

test('the README names every key', () => {
  const readme = projectFile('README.md');
  for (const path of allPaths()) {
    assert.ok(readme.includes(`\`${path.at(-1)}\``), `README.md does not name ${path.join('.')}`);
  }
});
