/** Values taken before they are asked for: all of them, in order, few at a time, and no longer than they are wanted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { readAhead } from '../src/engine/readAhead.js';

/** Numbers, and how far they were asked for. */
function counting(count: number, failsAt = Number.POSITIVE_INFINITY) {
  const state = { given: 0, ended: false };
  async function* numbers(): AsyncGenerator<number, void, void> {
    try {
      for (let i = 0; i < count; i++) {
        if (i === failsAt) throw new Error(`no ${i}`);
        await turn();
        state.given = i + 1;
        yield i;
      }
    } finally {
      state.ended = true;
    }
  }
  return { state, numbers: numbers() };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

test('all values come in order, and no more than the limit are taken ahead', async () => {
  const { state, numbers } = counting(40);
  const seen: number[] = [];
  for await (const value of readAhead(numbers, 4)) {
    seen.push(value);
    await turns(20);
    assert.equal(state.given, Math.min(40, value + 5), 'it goes on while a value is looked at, four ahead');
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 40 }, (_, i) => i),
  );
});

test('a failure comes behind the values before it', async () => {
  const { numbers } = counting(10, 3);
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const value of readAhead(numbers, 8)) {
      await turns(20);
      seen.push(value);
    }
  }, /no 3/);
  assert.deepEqual(seen, [0, 1, 2]);
});

test('whoever stops early stops what makes the values, full or not', async () => {
  for (const limit of [2, 100]) {
    const { state, numbers } = counting(50);
    for await (const value of readAhead(numbers, limit)) {
      await turns(10);
      if (value === 3) break;
    }
    assert.ok(state.ended && state.given < 50, `limit ${limit}: ${state.given} of 50`);
  }
});

test('a failure after the end nobody waits for is nobody else’s', async () => {
  const { state, numbers } = counting(10, 2);
  const ahead = readAhead(numbers, 8);
  assert.deepEqual(await ahead.next(), { value: 0, done: false });
  await turns(20);
  await ahead.return();
  assert.ok(state.ended);
});
