/** MD5 against node:crypto. `HASH_BENCH=1` also prints the time of a block. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Md5 } from '../src/hash/md5.js';

const expected = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex');

/** Shared memory holding `bytes` from an odd position on, 0xaa around them. */
function shared(bytes: Uint8Array, position: number): DataView {
  const memory = new Uint8Array(new SharedArrayBuffer(position + bytes.length + 5)).fill(0xaa);
  memory.set(bytes, position);
  return new DataView(memory.buffer);
}

const out = new DataView(new SharedArrayBuffer(48));

function digits(md5: Md5): string {
  new Uint8Array(out.buffer).fill(0x2e);
  md5.finish(out, 7);
  const text = Buffer.from(out.buffer).toString('latin1');
  assert.match(text, /^\.{7}[0-9a-f]{32}\.{9}$/);
  return text.slice(7, 39);
}

test('the test suite of RFC 1321', () => {
  const md5 = new Md5();
  for (const [text, hash] of [
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    [
      '12345678901234567890123456789012345678901234567890123456789012345678901234567890',
      '57edf4a22be3c955ac49da2e2107b67a',
    ],
  ] as const) {
    md5.init();
    md5.update(shared(Buffer.from(text), 1), 1, text.length);
    assert.equal(digits(md5), hash);
  }
});

test('every length from 0 to 300 at every alignment', () => {
  const md5 = new Md5();
  for (let length = 0; length <= 300; length++) {
    const bytes = randomBytes(length);
    const hash = expected(bytes);
    for (let position = 0; position < 4; position++) {
      md5.init();
      md5.update(shared(bytes, position), position, length);
      assert.equal(digits(md5), hash, `length ${length}, position ${position}`);
    }
  }
});

test('any split into updates gives the same hash', () => {
  const md5 = new Md5();
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }),
      fc.nat(3),
      (parts, position) => {
        md5.init();
        for (const part of parts) md5.update(shared(part, position), position, part.length);
        assert.equal(digits(md5), expected(Buffer.concat(parts)));
      },
    ),
    { numRuns: 500 },
  );
  // The end of the last block but one is put together from two parts, and lies where the next one's length goes.
  const bytes = Buffer.alloc(192, 'not zeros');
  for (let length = 65; length <= 192; length++) {
    for (let first = 1; first < 64; first++) {
      md5.init();
      for (const part of [bytes.subarray(0, first), bytes.subarray(first, length)]) {
        md5.update(shared(part, 0), 0, part.length);
      }
      assert.equal(digits(md5), expected(bytes.subarray(0, length)), `${first} of ${length}`);
    }
  }
});

test('long inputs, and a length in bits beyond 2^32', () => {
  const md5 = new Md5();
  const bytes = randomBytes(1 << 20);
  const view = shared(bytes, 3);
  md5.init();
  md5.update(view, 3, bytes.length);
  assert.equal(digits(md5), expected(bytes));
  const reference = createHash('md5');
  md5.init();
  for (let i = 0; i < 520; i++) {
    md5.update(view, 3, bytes.length);
    reference.update(bytes);
  }
  assert.equal(digits(md5), reference.digest('hex'));
});

test('time of a block', { skip: process.env.HASH_BENCH !== '1' }, (t) => {
  const md5 = new Md5();
  const view = shared(randomBytes(1 << 20), 1);
  for (const length of [1 << 20, 44, 100, 1000]) {
    const rounds = Math.ceil((64 << 20) / Math.max(length, 64));
    let ns = 0;
    for (let pass = 0; pass < 3; pass++) {
      const startedMs = performance.now();
      for (let i = 0; i < rounds; i++) {
        md5.init();
        md5.update(view, 1 + ((i * 13) & 1023 & (length < 5000 ? -1 : 0)), length);
        md5.finish(out, 0);
      }
      ns = ((performance.now() - startedMs) * 1e6) / rounds;
    }
    const blocks = Math.floor((length + 8) / 64) + 1;
    t.diagnostic(`${length} bytes: ${ns.toFixed(0)} ns a hash, ${(ns / blocks).toFixed(1)} ns a block`);
  }
});
