/**
 * Recorded responses of a TDS server nobody here wrote: transcoded at every split of their bytes, loaded by
 * PostgreSQL, and printed by it. Skipped with a reason where the recordings are not there.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { from as copyFrom } from 'pg-copy-streams';
import { COPY_HEADER, COPY_TRAILER } from '../src/copy/frame.js';
import { rowLayout } from '../src/read/layout.js';
import { RowStream } from '../src/read/rowStream.js';
import { readToken } from '../src/tds/tokenReader.js';
import { TOKEN } from '../src/tds/tokens.js';
import { InputWindow } from '../src/tds/window.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { type PlanColumn, payloadOf, planOf, Transcoder } from './support/transcode.js';

/** The recordings lie beside a checkout, in a folder `shared`. */
const folder = ['../../../shared/tds', '../../shared/tds']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find(existsSync);
const skip = folder === undefined ? 'no recorded responses (../shared/tds) beside this checkout' : false;

type Expected = string | null | { repeat: [string, number]; prefix?: string };

interface Recording {
  columns: { name: string; tsql_type: string; pg_type: string }[];
  rows: Record<string, Expected>[];
}

function recorded(name: string): Buffer {
  return readFileSync(`${folder}/${name}`);
}

function textOf(value: Expected): string | null {
  if (value === null || typeof value === 'string') return value;
  return (value.prefix ?? '') + value.repeat[0].repeat(value.repeat[1]);
}

const VOTES: PlanColumn[] = [
  { name: 'Id', pgType: 'integer', key: true },
  { name: 'PostId', pgType: 'integer' },
  { name: 'UserId', pgType: 'integer' },
  { name: 'BountyAmount', pgType: 'integer' },
  { name: 'VoteTypeId', pgType: 'integer' },
  { name: 'CreationDate', pgType: 'timestamp' },
];

/** What the plain interpreter makes of a whole response. */
function interpret(columns: PlanColumn[], payload: Buffer): Buffer {
  const window = new InputWindow(payload.length);
  window.append(payload, 0);
  const parts: Buffer[] = [];
  const room = { bytes: Buffer.alloc(1 << 16), position: 0, end: 1 << 16 };
  const take = (): void => {
    parts.push(Buffer.from(room.bytes.subarray(0, room.position)));
    room.position = 0;
  };
  let stream = null as RowStream | null;
  while (window.available > 0) {
    const type = window.bytes[window.position];
    if (stream !== null && (type === TOKEN.ROW || type === TOKEN.NBCROW)) {
      const row = stream.row();
      for (let step = row.next(); !step.done; step = row.next()) {
        assert.equal(step.value, 'output');
        take();
      }
      continue;
    }
    const token = readToken(window.bytes, window.position, window.fill);
    assert.ok(token !== null);
    window.position = token.end;
    if (token.kind === 'columns') {
      stream = new RowStream(rowLayout(planOf(columns), token.columns, 'error'), window, room);
    }
  }
  take();
  return Buffer.concat(parts);
}

const transcoder = new Transcoder();

describe('recorded responses', { skip }, () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await sharedPostgres();
  });
  after(() => postgres.stop());

  /** Loads tuples with PostgreSQL's own COPY and returns every value as PostgreSQL prints it. */
  async function loaded(columns: PlanColumn[], tuples: Buffer): Promise<(string | null)[][]> {
    const client = await postgres.client();
    try {
      await client.query(`SET timezone = 'UTC'; SET bytea_output = 'hex'`);
      const list = columns.map(({ name, pgType }) => `"${name}" ${pgType}`).join(', ');
      await client.query(`CREATE TEMP TABLE recorded (${list})`);
      const stream = client.query(copyFrom('COPY recorded FROM STDIN (FORMAT binary)'));
      await new Promise<void>((resolve, reject) => {
        stream.on('error', reject).on('finish', resolve);
        stream.end(Buffer.concat([COPY_HEADER, tuples, COPY_TRAILER]));
      });
      const result = await client.query({
        text: `SELECT * FROM recorded ORDER BY "${columns[0]!.name}"`,
        rowMode: 'array',
        // As PostgreSQL printed it, not as the driver would read it.
        types: { getTypeParser: () => (text: string | Buffer) => text },
      });
      return result.rows as (string | null)[][];
    } finally {
      await client.end();
    }
  }

  for (const name of ['alltypes-4096.tds', 'alltypes-32767.tds']) {
    it(`${name}: PostgreSQL prints every expected value`, async () => {
      const recording = JSON.parse(recorded('alltypes.expected.json').toString()) as Recording;
      const columns = recording.columns.map((c, i) => ({ name: c.name, pgType: c.pg_type, key: i === 0 }));
      const { tuples, rows } = await transcoder.run(planOf(columns), [payloadOf(recorded(name))]);
      assert.equal(rows, recording.rows.length);
      const printed = await loaded(columns, tuples);
      recording.rows.forEach((row, i) => {
        columns.forEach((column, j) => {
          assert.equal(printed[i]![j], textOf(row[column.name]!), `row ${i + 1}, ${column.name}`);
        });
      });
    });

    it(`${name}: the same tuples byte by byte, in small windows and slots, and from the interpreter`, async () => {
      const recording = JSON.parse(recorded('alltypes.expected.json').toString()) as Recording;
      const columns = recording.columns.map((c, i) => ({ name: c.name, pgType: c.pg_type, key: i === 0 }));
      const payload = payloadOf(recorded(name));
      const { tuples } = await transcoder.run(planOf(columns), [payload]);
      assert.ok(interpret(columns, payload).equals(tuples), 'interpreter');
      const bytes = Array.from({ length: payload.length }, (_, i) => payload.subarray(i, i + 1));
      assert.ok((await transcoder.run(planOf(columns), bytes)).tuples.equals(tuples), 'byte by byte');
      const small = await new Transcoder({ windowBytes: 16_384 }).run(planOf(columns), bytes);
      assert.ok(small.tuples.equals(tuples), 'rows larger than the window');
    });
  }

  it('alltypes-32767.tds: the same tuples at every split outside of long runs', async () => {
    const recording = JSON.parse(recorded('alltypes.expected.json').toString()) as Recording;
    const columns = recording.columns.map((c, i) => ({ name: c.name, pgType: c.pg_type, key: i === 0 }));
    const payload = payloadOf(recorded('alltypes-32767.tds'));
    const { tuples } = await transcoder.run(planOf(columns), [payload]);
    for (const points of farApart(splitPoints(payload))) {
      const split = await transcoder.run(planOf(columns), piecesOf(payload, points));
      assert.ok(split.tuples.equals(tuples), `split at ${points}`);
    }
  });

  it('votes-4096.tds: every row has the values it was made of', async () => {
    const { tuples, rows } = await transcoder.run(planOf(VOTES, 500), [
      payloadOf(recorded('votes-4096.tds')),
    ]);
    assert.equal(rows, 1581);
    const printed = await loaded(VOTES, tuples);
    const start = Date.UTC(2008, 6, 31);
    printed.forEach((row, i) => {
      const n = i + 1;
      const date = new Date(start + n * 61_000).toISOString().replace('T', ' ').slice(0, 19);
      const expected = [
        n,
        (n * 7) % 1000,
        n % 3 === 0 ? null : (n * 13) % 997,
        n % 50 === 0 ? n : null,
        n % 16,
        date,
      ];
      assert.deepEqual(
        row,
        expected.map((value) => (value === null ? null : String(value))),
        `row ${n}`,
      );
    });
  });

  it('votes-rpc-8192.tds: the same tuples at every split of its bytes, in chunks of 7 rows', async () => {
    const payload = payloadOf(recorded('votes-rpc-8192.tds'));
    const whole = await transcoder.run(planOf(VOTES), [payload]);
    assert.equal(whole.rows, 100);
    for (const points of farApart(Array.from({ length: payload.length + 1 }, (_, at) => at))) {
      const split = await transcoder.run(planOf(VOTES, 7), piecesOf(payload, points));
      assert.ok(split.tuples.equals(whole.tuples), `split at ${points}`);
      assert.deepEqual(split.chunks, [...Array(14).fill(7), 2]);
    }
  });
});

/** @returns all points in groups of a few that lie far apart: one split does nothing to the next. */
function farApart(points: readonly number[]): number[][] {
  const groups = Math.ceil(points.length / 8);
  return Array.from({ length: groups }, (_, first) => points.filter((_, i) => i % groups === first));
}

function piecesOf(payload: Buffer, points: readonly number[]): Buffer[] {
  return [...points, payload.length].map((end, i) => payload.subarray(points[i - 1] ?? 0, end));
}

/** Every offset but those deep inside a value that repeats a short piece: there one split is like the next. */
function splitPoints(payload: Buffer): number[] {
  const near = 12;
  const points: number[] = [];
  for (let at = 0; at <= payload.length; at++) {
    const from = Math.max(0, at - near);
    const to = Math.min(payload.length, at + near);
    let repeats = to - from === 2 * near;
    for (let i = from + 6; i < to && repeats; i++) repeats = payload[i] === payload[i - 6];
    if (!repeats || at % 4096 === 0) points.push(at);
  }
  return points;
}
