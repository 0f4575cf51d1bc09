/**
 * Conversions on the wire: what generated code and interpreter make of a value, and which they refuse, each value by
 * itself. In a whole row one value that generated code leaves to the interpreter takes the others with it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { framed as copied, tuple } from './support/copyBinary.js';
import { interpret } from './support/interpret.js';
import { planOf, Transcoder } from './support/transcode.js';
import { answer, type Frame, typeInfo, u8, u16, uint } from './support/wire.js';

const reader = new Transcoder();

interface Wire {
  info: Buffer;
  frame: Frame;
}

/** Holds both ways against the content expected, or null for a value that both refuse. */
async function check(wire: Wire, pgType: string, bytes: Buffer, expected: Buffer | null): Promise<void> {
  const column = { ...wire, name: 'v', pgType };
  const plan = planOf([column]);
  plan.columns[0]!.source.as = pgType;
  const payload = answer([column], [{ values: [{ bytes }] }]);
  const what = `${bytes.toString('hex')} to ${pgType}`;
  if (expected === null) {
    const refused = { code: 'VALUE_UNREPRESENTABLE' };
    await assert.rejects(reader.run(plan, [payload]), refused, what);
    assert.throws(() => interpret(plan, payload), refused, what);
    return;
  }
  const wanted = tuple([copied(expected)]);
  assert.deepEqual((await reader.run(plan, [payload])).tuples, wanted, `${what}, generated`);
  assert.deepEqual(interpret(plan, payload), wanted, `${what}, interpreted`);
}

const TARGETS = [
  ['smallint', 2],
  ['integer', 4],
  ['bigint', 8],
] as const;

/** Where words and halves of numbers begin and end. */
const EDGES = [0n, 8n, 15n, 16n, 31n, 32n, 33n, 62n, 63n, 64n, 95n].flatMap((power) =>
  [-2n, -1n, 0n, 1n].flatMap((more) => [2n ** power + more, -(2n ** power) - more]),
);

function integers(wire: Wire, least: bigint, most: bigint, bytesOf: (value: bigint) => Buffer) {
  return async () => {
    for (const value of new Set(EDGES)) {
      if (value < least || value > most) continue;
      for (const [pgType, bytes] of TARGETS) {
        const limit = 2n ** BigInt(8 * bytes - 1);
        const content = Buffer.alloc(8);
        if (value >= -limit && value < limit) content.writeBigInt64BE(value);
        const expected = value >= -limit && value < limit ? content.subarray(8 - bytes) : null;
        await check(wire, pgType, bytesOf(value), expected);
      }
    }
  };
}

describe('numbers', () => {
  for (const bytes of [2, 4, 8] as const) {
    const limit = 2n ** BigInt(8 * bytes - 1);
    const wire: Wire = { info: typeInfo.plain(0x26, bytes), frame: 'byte' };
    it(
      `an integer of ${bytes} bytes`,
      integers(wire, -limit, limit - 1n, (value) => uint(BigInt.asUintN(8 * bytes, value), bytes)),
    );
  }
  it(
    'a tinyint',
    integers({ info: typeInfo.plain(0x26, 1), frame: 'byte' }, 0n, 255n, (value) => uint(value, 1)),
  );
  it(
    'a bit',
    integers({ info: typeInfo.plain(0x68, 1), frame: 'byte' }, 0n, 1n, (value) => uint(value, 1)),
  );
  for (const [precision, bytes] of [
    [9, 4],
    [19, 8],
    [28, 12],
    [38, 16],
  ] as const) {
    const most = 10n ** BigInt(precision) - 1n;
    it(
      `a decimal(${precision},0)`,
      integers({ info: typeInfo.decimal(0x6a, precision, 0), frame: 'byte' }, -most, most, (value) =>
        Buffer.concat([u8(value < 0n ? 0 : 1), uint(value < 0n ? -value : value, bytes)]),
      ),
    );
  }

  it('a rowversion', async () => {
    const wire: Wire = { info: typeInfo.binary(0xad, 8), frame: 'ushort' };
    for (const value of ['0000000000000000', '00000000ffffffff', '0123456789abcdef', '7fffffffffffffff']) {
      await check(wire, 'bigint', Buffer.from(value, 'hex'), Buffer.from(value, 'hex'));
    }
    await check(wire, 'bigint', Buffer.from('8000000000000000', 'hex'), null);
  });

  it('a real', async () => {
    const wire: Wire = { info: typeInfo.plain(0x6d, 4), frame: 'byte' };
    for (const value of [
      0,
      -0,
      1.5,
      -(2 ** -149),
      3.4028234663852886e38,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
    ]) {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(value);
      const content = Buffer.alloc(8);
      content.writeDoubleBE(value);
      await check(wire, 'double precision', bytes, Number.isFinite(value) ? content : null);
    }
  });
});

it('values as the text that is printed of them, and damaged ones', async () => {
  const guid: Wire = { info: typeInfo.plain(0x24, 16), frame: 'byte' };
  const text = (printed: string) => Buffer.from(printed);
  const id = Buffer.from('ff19966f868b11d0b42d00c04fc964ff', 'hex');
  await check(guid, 'text', id, text('6F9619FF-8B86-D011-B42D-00C04FC964FF'));
  const offset: Wire = { info: typeInfo.plain(0x2b, 7), frame: 'byte' };
  const at = (units: bigint, days: bigint, minutes: number) =>
    Buffer.concat([uint(units, 5), uint(days, 3), u16(minutes & 0xffff)]);
  await check(offset, 'text', at(864_000_000_000n - 1n, 0n, 1), text('0001-01-02 00:00:59.9999999 +00:01'));
  await check(offset, 'text', at(0n, 730_119n, -570), text('1999-12-31 14:30:00.0000000 -09:30'));
  await check(offset, 'text', at(864_000_000_000n, 0n, 0), null);
  const small: Wire = { info: typeInfo.plain(0x6f, 4), frame: 'byte' };
  await check(small, 'text', Buffer.concat([u16(0xffff), u16(1439)]), text('2079-06-06 23:59:00.000'));
  await check(small, 'text', Buffer.concat([u16(0), u16(1440)]), null);
});
