/**
 * The JSON Schema for editors, and docs/configuration.md, name what the program knows.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { configJsonSchema } from '../src/config/json-schema.js';
import { allPaths } from '../src/config/tidy.js';
import { repositoryRoot } from './support/repository.js';

function projectFile(name: string): string {
  return readFileSync(join(repositoryRoot, name), 'utf8');
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

test('the documentation names every key', () => {
  const page = projectFile('docs/configuration.md');
  for (const path of allPaths()) {
    const name = path.join('.');
    const named = page.includes(`\n| \`${path.at(-1)}\` |`) || page.includes(`\n## ${name}\n`);
    assert.ok(named, `docs/configuration.md does not name ${name}`);
  }
});
