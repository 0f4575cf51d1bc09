/** UTF-16 and UTF-8 text, the policies for U+0000, and values that come in pieces. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import iconv from 'iconv-lite';
import type { TextEncoding } from '../src/copy/codepages.js';
import {
  applyNul,
  convertText,
  convertWithNul,
  decodeText,
  findTextFault,
  maxUtf8Bytes,
  type NulPolicy,
  padBlank,
  TEXT_HAS_NUL,
  TEXT_INVALID,
  TEXT_LONE_SURROGATE,
  TextStream,
  writeUtf8,
  writeUtf16le,
} from '../src/copy/text.js';
import { AppError } from '../src/errors.js';
import { sharedOut } from './support/copyBinary.js';

const { out } = sharedOut(64 * 1024);
const START = 5;

/** Converts from `offset` in dirty memory; checks that the promised capacity suffices. */
function convert(
  bytes: Buffer,
  encoding: TextEncoding,
  nul: NulPolicy = 'error',
  offset = 1,
): Buffer | number {
  const src = Buffer.concat([Buffer.alloc(offset, 0xd8), bytes, Buffer.alloc(4, 0x41)]);
  const capacity = START + maxUtf8Bytes(encoding, bytes.length);
  out.fill(0xee, 0, capacity + 16);
  const end = convertWithNul(src, offset, bytes.length, encoding, nul, out, START);
  assert.ok(end <= capacity);
  assert.ok(out.subarray(capacity, capacity + 16).every((byte) => byte === 0xee));
  return end < 0 ? end : Buffer.from(out.subarray(START, end));
}

/** Strings of every width class, as any code units: lone surrogates and NUL included. */
const anyUnits = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.stringMatching(/^[ -~]{1,9}$/) },
      fc.constantFrom(
        '\u00e9',
        '\u07ff',
        '\u0800',
        '\uffff',
        '\ufeff',
        '😀',
        '𝒳',
        '\u{10ffff}',
        '漢字',
        '\0',
      ),
      fc.constantFrom('\ud800', '\udbff', '\udc00', '\udfff'),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));
const wellFormed = anyUnits.map((text) => text.toWellFormed().replaceAll('\0', ''));

function expectedOf(text: string): Buffer | 'nul' | 'lone' | 'both' {
  const lone = !text.isWellFormed();
  const nul = text.includes('\0');
  return lone && nul ? 'both' : lone ? 'lone' : nul ? 'nul' : Buffer.from(text);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

function assertUtf16(text: string, offset: number): void {
  const got = convert(Buffer.from(text, 'utf16le'), 'utf16le', 'error', offset);
  const expected = expectedOf(text);
  if (expected === 'both') assert.ok(got === TEXT_HAS_NUL || got === TEXT_LONE_SURROGATE);
  else if (expected === 'lone') assert.equal(got, TEXT_LONE_SURROGATE);
  else if (expected === 'nul') assert.equal(got, TEXT_HAS_NUL);
  else assert.deepEqual(got, expected);
}

describe('UTF-16 to UTF-8', () => {
  it('equals the engine for any text at even and odd offsets', () => {
    fc.assert(
      fc.property(anyUnits, fc.integer({ min: 0, max: 3 }), (text, offset) => assertUtf16(text, offset)),
      { numRuns: 3000 },
    );
  });

  it('is the same on both sides of the length where the engine takes over', () => {
    for (const units of [...range(56, 74), ...range(248, 264)]) {
      for (const filler of ['a', 'é', '漢', '\ufffd']) {
        for (const special of ['', '😀', '\0', '\ud83d', '\ude00', '\ude00\ud83d']) {
          for (const at of [0, Math.floor(units / 2), units - special.length]) {
            const rest = units - special.length;
            const before = Math.min(at, rest);
            const text = filler.repeat(before) + special + filler.repeat(rest - before);
            assert.equal(text.length, units);
            assertUtf16(text, 0);
            assertUtf16(text, 1);
          }
        }
      }
    }
  });

  it('converts every single unit', () => {
    for (let unit = 0; unit < 0x10000; unit += 1) assertUtf16(String.fromCharCode(unit), 1);
  });

  it('refuses an odd number of bytes', () => {
    assert.equal(writeUtf16le(Buffer.from('a\0b'), 0, 3, out, 0), TEXT_LONE_SURROGATE);
    assert.equal(writeUtf16le(Buffer.alloc(1001, 'a'), 0, 1001, out, 0), TEXT_LONE_SURROGATE);
  });

  it('writes an empty text', () => {
    for (const encoding of ['utf16le', 'utf8', 'cp1252', 'cp932'] as const) {
      assert.deepEqual(convert(Buffer.alloc(0), encoding), Buffer.alloc(0));
    }
  });
});

describe('UTF-8', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  function assertUtf8(bytes: Buffer): void {
    const got = convert(bytes, 'utf8');
    let valid = true;
    try {
      strict.decode(bytes);
    } catch {
      valid = false;
    }
    if (valid && !bytes.includes(0)) assert.deepEqual(got, bytes);
    else if (valid) assert.equal(got, TEXT_HAS_NUL);
    else if (!bytes.includes(0)) assert.equal(got, TEXT_INVALID);
    else assert.ok(got === TEXT_HAS_NUL || got === TEXT_INVALID);
  }

  it('accepts exactly what a strict decoder accepts', () => {
    for (let first = 0; first < 256; first += 1) {
      for (let second = 0; second < 256; second += 1) {
        assertUtf8(Buffer.from([first, second]));
        if (first >= 0xe0 && second >= 0x70 && (second & 7) % 7 === 0) {
          for (const tail of [[0x80], [0xbf], [0x80, 0xbf], [0xc0, 0x80], [0x41], []]) {
            assertUtf8(Buffer.from([first, second, ...tail]));
          }
        }
      }
    }
    const pieces = fc.oneof(
      wellFormed.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => assertUtf8(Buffer.concat(parts))));
  });

  it('checks long values as strictly', () => {
    const long = Buffer.alloc(700, 'é');
    assert.deepEqual(convert(long, 'utf8'), long);
    assert.equal(convert(Buffer.concat([long, Buffer.from([0xed, 0xa0, 0x80])]), 'utf8'), TEXT_INVALID);
    assert.equal(convert(Buffer.concat([long, Buffer.from([0])]), 'utf8'), TEXT_HAS_NUL);
  });

  it('pads by characters, not bytes', () => {
    const text = Buffer.from('é😀');
    text.copy(out, START);
    const end = padBlank(out, START, START + text.length, 5);
    assert.equal(out.toString('utf8', START, end), 'é😀   ');
    assert.equal(padBlank(out, START, START + text.length, 2), START + text.length);
  });
});

describe('U+0000 by policy', () => {
  it('is dropped or replaced in every encoding', () => {
    for (const encoding of ['utf16le', 'utf8', 'cp1252', 'cp932'] as const) {
      for (const text of ['\0', 'a\0b', '\0\0', `${'x'.repeat(500)}\0${'y'.repeat(500)}`, 'ab\0', '\0ab']) {
        const bytes = encoding === 'utf16le' ? Buffer.from(text, 'utf16le') : Buffer.from(text);
        assert.equal(convert(bytes, encoding), TEXT_HAS_NUL);
        assert.equal(convert(bytes, encoding, 'strip').toString(), text.replaceAll('\0', ''));
        assert.equal(convert(bytes, encoding, 'replace').toString(), text.replaceAll('\0', '\ufffd'));
      }
    }
    assert.equal(applyNul('a\0b', 'strip'), 'ab');
    assert.equal(applyNul('a\0b', 'replace'), 'a\ufffdb');
    assert.throws(() => applyNul('a\0b', 'error'), /NUL character \(U\+0000\) at character offset 1/);
  });

  it('does not hide another fault', () => {
    assert.equal(convert(Buffer.from('a\0\ud83d', 'utf16le'), 'utf16le', 'strip'), TEXT_LONE_SURROGATE);
    assert.equal(convert(Buffer.from('\ud83d\0\ude00', 'utf16le'), 'utf16le', 'strip'), TEXT_LONE_SURROGATE);
    assert.equal(convert(Buffer.from([0x41, 0, 0xff]), 'cp932', 'replace'), TEXT_INVALID);
  });
});

describe('faults', () => {
  it('are found by the plain form exactly where a converter refuses', () => {
    const encodings = ['utf16le', 'utf8', 'cp1253', 'cp932', 'cp936', 'cp949', 'cp950'] as const;
    fc.assert(
      fc.property(
        fc.constantFrom(...encodings),
        fc.constantFrom<NulPolicy>('error', 'strip', 'replace'),
        fc.array(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0x20, max: 0x7e })), {
          maxLength: 40,
        }),
        (encoding, nul, list) => {
          const bytes = Buffer.from(list);
          const fault = findTextFault(bytes, encoding, nul === 'error');
          const got = convert(bytes, encoding, nul);
          assert.equal(typeof got === 'number', fault !== null);
          if (typeof got === 'number') return;
          assert.equal(got.toString(), applyNul(decodeText(bytes, encoding), nul));
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe('TextStream', () => {
  const text = 'aé漢😀𝒳 Straße\n\ufeff終';
  const samples: [TextEncoding, Buffer, string][] = [
    ['utf16le', Buffer.from(text, 'utf16le'), text],
    ['utf8', Buffer.from(text), text],
    ['cp1252', iconv.encode('aé€ Straße', 'cp1252'), 'aé€ Straße'],
    ...(['cp932', 'cp936', 'cp949', 'cp950'] as const).map((encoding): [TextEncoding, Buffer, string] => [
      encoding,
      iconv.encode('a漢字x一二三b', encoding),
      'a漢字x一二三b',
    ]),
  ];

  it('gives the same text whatever the split', () => {
    for (const [encoding, bytes, expected] of samples) {
      const stream = new TextStream(encoding, 'error');
      for (let i = 0; i <= bytes.length; i += 1) {
        for (let j = i; j <= bytes.length; j += 1) {
          const parts = [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)];
          const converted = [...parts.map((part) => stream.push(Buffer.from(part))), stream.end()];
          for (const part of converted)
            assert.ok(!part.toString().includes('\ufffd'), 'whole characters only');
          assert.equal(Buffer.concat(converted).toString(), expected, `${encoding} ${i} ${j}`);
        }
      }
      const bytewise = [...bytes].map((byte) => stream.push(Buffer.from([byte])));
      assert.equal(Buffer.concat([...bytewise, stream.end()]).toString(), expected);
    }
  });

  it('takes pieces of any size', () => {
    const long = text.repeat(20_000);
    const stream = new TextStream('utf16le', 'error');
    const bytes = Buffer.from(long, 'utf16le');
    const cut = 65_537;
    const converted = [stream.push(bytes.subarray(0, cut)), stream.push(bytes.subarray(cut)), stream.end()];
    assert.ok(Buffer.concat(converted).equals(Buffer.from(long)));
  });

  function refusal(encoding: TextEncoding, parts: Buffer[], nul: NulPolicy = 'error'): AppError {
    const stream = new TextStream(encoding, nul);
    try {
      for (const part of parts) stream.push(part);
      stream.end();
    } catch (error) {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'VALUE_UNREPRESENTABLE');
      return error;
    }
    throw new assert.AssertionError({ message: 'accepted' });
  }

  it('says what it refuses, where, and what to do', () => {
    const utf16 = (part: string): Buffer => Buffer.from(part, 'utf16le');
    const nul = refusal('utf16le', [utf16('x'.repeat(70_000)), utf16('ab\0c')]);
    assert.match(nul.message, /NUL character \(U\+0000\) at character offset 70002/);
    assert.match(nul.remedy ?? '', /migration\.on_nul/);
    assert.match(refusal('utf16le', [utf16('ab\ud83d'), utf16('c')]).message, /surrogate.*0x3DD8.*offset 2/);
    assert.match(refusal('utf16le', [utf16('ab\ud83d')]).message, /surrogate.*offset 2/);
    assert.match(refusal('utf16le', [Buffer.from('a\0b')]).message, /surrogate.*0x62.*offset 1/);
    assert.match(
      refusal('utf8', [Buffer.from('é'), Buffer.from([0xe2, 0x82])]).message,
      /0xE2.*offset 1.*utf8/,
    );
    assert.match(refusal('cp932', [Buffer.from([0x41, 0x81])]).message, /0x81 at character offset 1.*cp932/);
    assert.match(refusal('cp1253', [Buffer.from('αβ', 'latin1'), Buffer.from([0xd2])]).message, /0xD2/);
  });

  it('follows the policy for U+0000', () => {
    for (const [nul, expected] of [
      ['strip', 'ab'],
      ['replace', 'a\ufffdb'],
    ] as const) {
      const stream = new TextStream('utf16le', nul);
      const parts = [...Buffer.from('a\0b', 'utf16le')].map((byte) => stream.push(Buffer.from([byte])));
      assert.equal(Buffer.concat([...parts, stream.end()]).toString(), expected);
    }
  });

  it('is ready for the next value after end', () => {
    const stream = new TextStream('utf8', 'error');
    stream.push(Buffer.from('abc'));
    stream.end();
    assert.throws(() => stream.push(Buffer.from('\0')), /offset 0/);
  });
});

describe('plain and hot forms', () => {
  it('agree on any valid text', () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        const bytes = Buffer.from(text, 'utf16le');
        assert.equal(decodeText(bytes, 'utf16le'), text);
        assert.equal(convertText(bytes, 0, bytes.length, 'utf16le', out, 0), Buffer.byteLength(text));
        const utf8 = Buffer.from(text);
        assert.equal(writeUtf8(utf8, 0, utf8.length, out, 0), utf8.length);
      }),
    );
  });
});
