/**
 * How finely a comparison by integer keys asks for totals: the size of its smallest groups, learned from where changes
 * lie. Simulated rows, no server.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fineness } from '../src/verify/integerGroups.js';
import { fractionsFrom } from './support/random.js';

const ROWS = 2_000_000;
const STRETCH = 100_000;

/** @returns the smallest groups' size in the end, and the share of rows that had to be fetched of the second half */
function learn(isChanged: (key: number) => boolean): { size: number; fetched: number } {
  const fineness = new Fineness({ first: 1n, last: BigInt(ROWS), rows: ROWS }, 10_000);
  let fetched = 0;
  for (let first = 0; first < ROWS; first += STRETCH) {
    const { finest } = fineness;
    assert.ok(finest?.located);
    const size = Number(finest.size);
    const groups = Math.ceil(STRETCH / size);
    const changes = new Uint32Array(groups);
    for (let i = 0; i < STRETCH; i++) {
      if (isChanged(first + i)) changes[Math.floor(i / size)]!++;
    }
    const crowded = size * changes.filter((n) => n > 1).length;
    const changed = changes.reduce((sum, n) => sum + n, 0);
    fineness.sawCrowded(BigInt(STRETCH), changes.filter((n) => n > 0).length / groups, BigInt(crowded));
    fineness.sawRows(BigInt(STRETCH), changed);
    if (first >= ROWS / 2) fetched += crowded;
  }
  return { size: Number(fineness.finest!.size), fetched: fetched / (ROWS / 2) };
}

test('changes at random: groups in which two are rare', () => {
  const random = fractionsFrom(7);
  const { size, fetched } = learn(() => random() < 0.01);
  assert.ok(size >= 18 && size <= 26, `${size} rows a group`);
  assert.ok(fetched < 0.04, `${fetched} of all rows`);
});

test('changes that lie evenly: larger groups, of which none has two', () => {
  const { size, fetched } = learn((key) => key % 100 === 7);
  assert.ok(size >= 55 && size <= 67, `${size} rows a group`);
  assert.equal(fetched, 0);
});

test('changes that lie together in pairs: smaller groups than at random', () => {
  const random = fractionsFrom(7);
  let again = false;
  const { size } = learn(() => {
    again = !again && random() < 0.005;
    return again || random() < 0.0025;
  });
  const apart = learn(() => random() < 0.0075);
  assert.ok(size <= apart.size, `${size} and ${apart.size} rows a group`);
});
