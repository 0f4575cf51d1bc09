/**
 * The text kernel in WebAssembly against the engine's own converters and against the loops, at every alignment and
 * length, and its neighbours' bytes. Test process, main thread.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { codePage } from '../src/copy/codepages.js';
import {
  TEXT_HAS_NUL,
  TEXT_LONE_SURROGATE,
  writeDoubleByte,
  writeSingleByte,
  writeUtf8,
  writeUtf16le,
} from '../src/copy/text.js';
import { textKernel } from '../src/copy/textKernel.js';
import { kernelBuffer } from './support/kernelMemory.js';

const FROM = 1000;
const OUT = 200_000;
const FILLER = 0xee;
const memory = kernelBuffer(600_000);
const kernel = textKernel.over(memory.buffer);

/** Runs a writer over memory the kernel works on, and over buffers it does not know; both must agree. */
function both(
  bytes: Buffer,
  shift: number,
  write: (src: Buffer, p: number, out: Buffer, o: number) => number,
): Buffer | number {
  const plain = Buffer.alloc(3 * bytes.length + 16);
  const plainEnd = write(bytes, 0, plain, 0);
  // What lies behind the value may be text as well, or what would end it, or go with its end.
  for (const behind of ['A\0', 'AAAA', '\0', '\0\xdc', '']) {
    memory.fill(FILLER, FROM, FROM + shift + bytes.length + 100);
    memory.fill(FILLER, OUT - 1, OUT + shift + 3 * bytes.length + 100);
    memory.set(bytes, FROM + shift);
    memory.write(behind.repeat(20), FROM + shift + bytes.length, 'latin1');
    const end = write(memory, FROM + shift, memory, OUT + shift);
    const other = Buffer.alloc(plain.length);
    const otherEnd = write(Buffer.concat([bytes, Buffer.from(behind, 'latin1')]), 0, other, 0);
    assert.equal(otherEnd, plainEnd);
    if (plainEnd < 0) {
      assert.equal(end, plainEnd);
      continue;
    }
    assert.ok(other.subarray(0, otherEnd).equals(plain.subarray(0, plainEnd)), 'what lies behind was read');
    const text = memory.subarray(OUT + shift, end);
    assert.ok(text.equals(plain.subarray(0, plainEnd)), 'kernel and loops differ');
    assert.ok(
      memory.subarray(FROM + shift, FROM + shift + bytes.length).equals(bytes),
      'the value was changed',
    );
    assert.equal(memory[OUT + shift - 1], FILLER, 'a byte in front was written');
    const room = OUT + shift + Math.max(end - OUT - shift, 3 * bytes.length);
    assert.equal(memory[room], FILLER, 'a byte behind the room was written');
  }
  return plainEnd < 0 ? plainEnd : plain.subarray(0, plainEnd);
}

const utf16 = (bytes: Buffer, shift: number): Buffer | number =>
  both(bytes, shift, (src, p, out, o) => writeUtf16le(src, p, bytes.length, out, o));

test('the kernel can be used here', () => {
  assert.notEqual(kernel, null);
  assert.equal(textKernel.over(new ArrayBuffer(8)), null);
});

test('UTF-16 of every length and alignment, with one other character at every place', () => {
  for (let length = 0; length <= 70; length++) {
    for (const other of ['', '\u007f', 'é', '\u07ff', '\u0800', '語', '\uffff', '😀']) {
      const at = (length * 7) % (length + 1);
      const text = `${'abcdefghij'.repeat(8).slice(0, at)}${other}${'klmnopqrst'.repeat(8).slice(0, length - at)}`;
      const found = utf16(Buffer.from(text, 'utf16le'), length % 5);
      assert.equal(found.toString(), text);
    }
  }
});

test('UTF-16 with U+0000 or half a pair at any place', () => {
  for (let length = 1; length <= 40; length++) {
    for (let at = 0; at < length; at++) {
      const units = Array.from({ length }, (_, i) => 0x41 + (i % 26));
      const spoilt = (unit: number): Buffer => {
        const bytes = Buffer.alloc(2 * length);
        for (const [i, value] of units.entries()) bytes.writeUInt16LE(i === at ? unit : value, 2 * i);
        return bytes;
      };
      assert.equal(utf16(spoilt(0), at % 3), TEXT_HAS_NUL);
      assert.equal(utf16(spoilt(0xd83d), at % 3), TEXT_LONE_SURROGATE);
      assert.equal(utf16(spoilt(0xde00), at % 3), TEXT_LONE_SURROGATE);
    }
  }
});

test('UTF-16 of any units', () => {
  const unit = fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 1, max: 0x7f }) },
    { weight: 2, arbitrary: fc.integer({ min: 0x80, max: 0xffff }) },
    { weight: 1, arbitrary: fc.constantFrom(0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff) },
  );
  const property = fc.property(fc.array(unit, { maxLength: 300 }), fc.nat(9), (units, shift) => {
    const bytes = Buffer.alloc(2 * units.length);
    for (const [i, value] of units.entries()) bytes.writeUInt16LE(value, 2 * i);
    const text = bytes.toString('utf16le');
    const found = utf16(bytes, shift);
    if (text.isWellFormed()) assert.equal(found.toString(), text);
    else assert.equal(found, TEXT_LONE_SURROGATE);
  });
  fc.assert(property, { numRuns: 2000, seed: 20261122 });
});

test('single-byte, double-byte and UTF-8 text, with one other character or NUL at any place', () => {
  const latin = codePage('cp1252');
  const japanese = codePage('cp932');
  assert.ok(latin.kind === 'single' && japanese.kind === 'double');
  for (let length = 0; length <= 70; length++) {
    const at = (length * 11) % (length + 1);
    const ascii = 'The order of the keys must not change, whatever the collation says of them'.slice(
      0,
      length,
    );
    const bytes = (middle: string | Buffer): Buffer =>
      Buffer.concat([Buffer.from(ascii.slice(0, at)), Buffer.from(middle), Buffer.from(ascii.slice(at))]);
    const single = (value: Buffer): Buffer | number =>
      both(value, at % 4, (src, p, out, o) => writeSingleByte(src, p, value.length, latin.table, out, o));
    const double = (value: Buffer): Buffer | number =>
      both(value, at % 4, (src, p, out, o) =>
        writeDoubleByte(src, p, value.length, japanese.table, japanese.isLead, out, o),
      );
    const utf8 = (value: Buffer): Buffer | number =>
      both(value, at % 4, (src, p, out, o) => writeUtf8(src, p, value.length, out, o));
    const expected = (middle: string): string => `${ascii.slice(0, at)}${middle}${ascii.slice(at)}`;
    assert.equal(single(bytes(Buffer.of(0x80, 0xe9))).toString(), expected('€é'));
    assert.equal(double(bytes(Buffer.of(0x93, 0xfa))).toString(), expected('日'));
    assert.equal(utf8(bytes('é日😀')).toString(), expected('é日😀'));
    for (const write of [single, double, utf8]) {
      assert.equal(write(bytes('')).toString(), ascii);
      assert.equal(write(bytes('\0')), TEXT_HAS_NUL);
    }
  }
});
