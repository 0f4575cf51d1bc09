/**
 * Garbage and mutated responses, made up and recorded: they end as a success or in the program's own error of a
 * kind that says so, soon, and leave the reader fit for the next response. Seeds are fixed.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { AppError } from '../src/errors.js';
import type { TablePlan } from '../src/plan/model.js';
import { TestPump } from './support/pump.js';
import { randomFrom } from './support/random.js';
import { type PlanColumn, payloadOf, planOf } from './support/transcode.js';
import { answer, type WireColumn } from './support/wire.js';
import type { Cell } from './support/wireCells.js';
import { anyType, type TypeCase } from './support/wireTypes.js';

/** What a broken response may end in. */
const EXPECTED = new Set([
  'PROTOCOL',
  'VALUE_UNREPRESENTABLE',
  'VALUE_TOO_LARGE',
  'SCHEMA_CONFLICT',
  'TYPE_UNSUPPORTED',
  'SOURCE_QUERY',
]);
const CASE_MS = 2000;

interface Subject {
  plan: TablePlan;
  payload: Buffer;
  /** Where the rows begin; mutations prefer what comes after, so that more than COLMETADATA is tried. */
  rowsAt: number;
}

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xd1, 0xd2, 0xfd, 0xfe, 0xff, 0x81, 0xaa, 0xab];

function mutate({ payload, rowsAt }: Subject, random: (bound: number) => number): Buffer {
  let bytes = Buffer.from(payload);
  for (let count = 1 + random(4); count > 0 && bytes.length > 1; count--) {
    const from = random(5) === 0 ? 0 : Math.min(rowsAt, bytes.length - 1);
    const at = from + random(bytes.length - from);
    switch (random(6)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at]! ^= 1 << random(8);
        break;
      case 2:
        bytes.fill(INTERESTING[random(INTERESTING.length)]!, at, Math.min(bytes.length, at + 1 + random(8)));
        break;
      case 3: // some bytes lost
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(20))]);
        break;
      case 4: // some bytes twice
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - random(40)))]);
        break;
      default:
        if (random(4) === 0) bytes = bytes.subarray(0, at);
        else bytes[at] = INTERESTING[random(INTERESTING.length)]!;
    }
  }
  return bytes;
}

function cut(payload: Buffer, random: (bound: number) => number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const length = random(3) === 0 ? 1 + random(10) : 1 + random(8000);
    pieces.push(payload.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

const pump = new TestPump();

/** Runs `cases` responses. @returns how many ended in each way. */
async function run(cases: number, seed: number, make: (random: (bound: number) => number) => Subject) {
  const random = randomFrom(seed);
  const ends: Record<string, number> = {};
  for (let i = 0; i < cases; i++) {
    const { plan, payload } = make(random);
    const startedMs = performance.now();
    const { error } = await pump.run(plan, cut(payload, random));
    const where = `case ${i}: ${payload.toString('hex', 0, 2000)}`;
    assert.ok(performance.now() - startedMs < CASE_MS, `slow, ${where}`);
    if (error !== null && !(error instanceof AppError && EXPECTED.has(error.code))) {
      assert.fail(new Error(`${error instanceof Error ? error.stack : error}\n${where}`));
    }
    const end = error instanceof AppError ? error.code : 'success';
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return ends;
}

/** Good answers of random layouts, not so long that a mutation gets lost in them. */
function subjects(): Subject[] {
  const result = fc.array(anyType, { minLength: 1, maxLength: 10 }).chain((types: TypeCase[]) => {
    const value = ({ frame, cell }: TypeCase): fc.Arbitrary<Cell | null> =>
      frame === 'fixed' ? cell : fc.option(cell, { freq: 5 });
    const row = fc.record({ sparse: fc.boolean(), values: fc.tuple(...types.map(value)) });
    return fc.array(row, { minLength: 1, maxLength: 5 }).map((rows) => ({ types, rows }));
  });
  return fc
    .sample(result, { seed: 20_260_301, numRuns: 300 })
    .map(({ types, rows }) => {
      const columns = types.map(({ info, frame }, i): WireColumn => ({ name: `c${i}`, info, frame }));
      const planned = types.map(({ pgType }, i): PlanColumn => ({ name: `c${i}`, pgType, key: i === 0 }));
      return {
        plan: planOf(planned, 2),
        payload: answer(columns, rows),
        rowsAt: answer(columns, []).length - 13,
      };
    })
    .filter(({ payload }) => payload.length < 20_000);
}

describe('responses nobody should send', () => {
  const made = subjects();

  it('mutated answers of random layouts', async () => {
    assert.ok(made.length > 200);
    const ends = await run(12_000, 1, (random) => {
      const subject = made[random(made.length)]!;
      return { ...subject, payload: mutate(subject, random) };
    });
    for (const end of ['success', 'PROTOCOL', 'VALUE_UNREPRESENTABLE', 'SCHEMA_CONFLICT']) {
      assert.ok((ends[end] ?? 0) > 20, `${end}: ${ends[end]}`);
    }
  });

  it('columns of one layout before rows of another', async () => {
    await run(2000, 2, (random) => {
      const [a, b] = [made[random(made.length)]!, made[random(made.length)]!];
      const payload = Buffer.concat([a.payload.subarray(0, a.rowsAt), b.payload.subarray(b.rowsAt)]);
      return { ...a, payload };
    });
  });

  it('garbage, plain and after the columns', async () => {
    await run(4000, 3, (random) => {
      const subject = made[random(made.length)]!;
      const garbage = Buffer.from(Array.from({ length: random(400) }, () => random(256)));
      const start = [0x81, 0xaa, 0xab, 0xd1, 0xd2, 0xe3, 0xe4, 0xfd][random(8)]!;
      if (garbage.length > 0) garbage[0] = start;
      const head = random(3) === 0 ? Buffer.alloc(0) : subject.payload.subarray(0, subject.rowsAt);
      return { ...subject, payload: Buffer.concat([head, garbage]) };
    });
  });

  const folder = ['../../../shared/tds', '../../shared/tds']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync);
  const skip = folder === undefined ? 'no recorded responses (../shared/tds) beside this checkout' : false;

  it('mutated recordings', { skip }, async () => {
    const recording = JSON.parse(readFileSync(`${folder}/alltypes.expected.json`, 'utf8')) as {
      columns: { name: string; pg_type: string }[];
    };
    const all = recording.columns.map(({ name, pg_type }, i) => ({ name, pgType: pg_type, key: i === 0 }));
    const votes = ['Id', 'PostId', 'UserId', 'BountyAmount', 'VoteTypeId', 'CreationDate'].map((name, i) => ({
      name,
      pgType: i === 5 ? 'timestamp' : 'integer',
      key: i === 0,
    }));
    const recordings = [
      { columns: all, name: 'alltypes-32767.tds', cases: 600 },
      { columns: votes, name: 'votes-rpc-8192.tds', cases: 2000 },
    ];
    for (const { columns, name, cases } of recordings) {
      const payload = payloadOf(readFileSync(`${folder}/${name}`));
      const plan = planOf(columns, 7);
      const whole = { plan, payload, rowsAt: payload.indexOf(0xd1) };
      const untouched = await pump.run(plan, [payload]);
      assert.equal(untouched.error, null);
      const ends = await run(cases, 4, (random) => ({ ...whole, payload: mutate(whole, random) }));
      assert.ok((ends.PROTOCOL ?? 0) > 50, JSON.stringify(ends));
      const after = await pump.run(plan, [payload]);
      assert.deepEqual(after, untouched);
    }
  });
});
