/**
 * Every type at its limits through the whole tool: binary COPY, text COPY and row hashes must all agree with the
 * texts written out in the fixtures, and with PostgreSQL's own idea of what it holds.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { everyTypeScript } from './fixtures/everyType.js';
import { typeCaseScript, typeCases, typeCaseTable } from './fixtures/typeCases.js';
import { type Scene, startScene, succeeded } from './support/endToEnd.js';
import { checkTypeCases } from './support/typeCheck.js';

let scene: Scene;
before(async () => {
  scene = await startScene('types', `${typeCaseScript()}\nGO\n${everyTypeScript()}`);
});
after(() => scene?.stop());

const values = typeCases.reduce((sum, one) => sum + one.values.length + 1, 0);
const runs = {
  binary: {},
  text: { use_binary_copy: false },
  hashed: { use_hash_detection: true, hash_text_columns: true, parallel_readers: 2 },
  hashed_text: { use_hash_detection: true, use_binary_copy: false, parallel_readers: 2 },
} as const;

for (const [schema, migration] of Object.entries(runs)) {
  test(`the printed texts are those expected: ${schema}`, async () => {
    succeeded(await scene.migrate({ target: { schema }, migration }));
    const check = await checkTypeCases(scene.client, schema);
    assert.deepEqual(check.differences, []);
    assert.equal(check.checked, values);
  });
}

/** A column's canonical bytes by PostgreSQL's own send functions, as the design of the row hash has it. */
const canonical: Record<string, (name: string) => string> = {
  boolean: (name) => `boolsend(${name})`,
  smallint: (name) => `int2send(${name})`,
  integer: (name) => `int4send(${name})`,
  bigint: (name) => `int8send(${name})`,
  real: (name) => `float4send(${name})`,
  'double precision': (name) => `float8send(${name})`,
  numeric: (name) => `convert_to(${name}::text, 'UTF8')`,
  date: (name) => `date_send(${name})`,
  'time without time zone': (name) => `time_send(${name})`,
  'timestamp without time zone': (name) => `timestamp_send(${name})`,
  'timestamp with time zone': (name) => `timestamptz_send(${name})`,
  uuid: (name) => `uuid_send(${name})`,
  bytea: (name) => name,
  character: (name) => `bpcharsend(${name})`,
  'character varying': (name) => `convert_to(${name}, 'UTF8')`,
  text: (name) => `convert_to(${name}, 'UTF8')`,
};
const longText = new Set(['text', 'ntext', 'varchar(max)', 'nvarchar(max)', 'xml']);

interface Column {
  name: string;
  type: string;
}

async function columnsOf(schema: string, table: string): Promise<Column[]> {
  const { rows } = await scene.client.query<Column>(
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid = format('%I.%I', $1::text, $2::text)::regclass AND attnum > 0 ORDER BY attnum`,
    [schema, table],
  );
  return rows;
}

function hashSql(columns: readonly Column[]): string {
  const parts = columns.map(({ name, type }) => {
    const send = canonical[type];
    assert.ok(send, `no canonical form for ${type}`);
    const bytes = send(pg.escapeIdentifier(name));
    return `coalesce(int4send(length(${bytes})) || ${bytes}, '\\xffffffff')`;
  });
  return `md5(${["'\\x'::bytea", ...parts].join(' || ')})`;
}

async function wrongHashes(schema: string, table: string, hashed: readonly Column[]): Promise<number> {
  const [row] = await scene.rows(
    `SELECT count(*) FROM ${schema}.${pg.escapeIdentifier(table)} WHERE row_hash IS DISTINCT FROM ${hashSql(hashed)}`,
  );
  return Number(row?.[0]);
}

test('every row hash is the MD5 PostgreSQL computes from the values it holds', async () => {
  for (const schema of ['hashed', 'hashed_text']) {
    const wrong: string[] = [];
    for (const one of typeCases) {
      const table = typeCaseTable(one);
      const columns = await columnsOf(schema, table);
      const covered = schema === 'hashed' || !longText.has(one.sqlType);
      const hashed = covered ? columns.filter(({ name }) => name === 'Value') : [];
      if ((await wrongHashes(schema, table, hashed)) > 0) wrong.push(`${schema}.${table}`);
    }
    assert.deepEqual(wrong, []);
  }
  for (const table of ['AllTypes', 'AllTypesNotNull']) {
    const columns = await columnsOf('hashed', table);
    assert.equal(columns.length, 40, '37 types, the key, the rowversion and the hash');
    const hashed = columns.filter(({ name }) => name !== 'Id' && name !== 'row_hash');
    assert.equal(await wrongHashes('hashed', table, hashed), 0, table);
  }
});

test('the result names the columns a hash leaves out', async () => {
  const { tables } = succeeded(
    await scene.migrate({
      target: { schema: 'named' },
      migration: { ...runs.hashed_text, include_tables: ['AllTypes'] },
    }),
  );
  assert.match(
    tables[0]?.notes.join('\n') ?? '',
    /not covered by the row hash: AVarcharMax, ANvarcharMax, AText, ANtext, AnXml/,
  );
});

test('text and binary COPY leave the same rows in every table', async () => {
  const tables = await scene.rows(
    `SELECT relname FROM pg_class WHERE relnamespace = 'binary'::regnamespace AND relkind = 'r'`,
  );
  assert.ok(tables.length > typeCases.length + 10);
  for (const [table] of tables) {
    const quoted = pg.escapeIdentifier(table ?? '');
    const both = (a: string, b: string) =>
      `SELECT count(*) FROM (SELECT t::text FROM "${a}".${quoted} t EXCEPT ALL SELECT t::text FROM "${b}".${quoted} t) AS d`;
    const [there] = await scene.rows(both('binary', 'text'));
    const [back] = await scene.rows(both('text', 'binary'));
    assert.deepEqual([there, back], [['0'], ['0']], table ?? '');
  }
});
