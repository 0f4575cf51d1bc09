/** Every defined byte and pair of every code page against iconv-lite, and the rules beyond it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import iconv from 'iconv-lite';
import {
  codePage,
  isDoubleByte,
  TEXT_ENCODINGS,
  type TextEncoding,
  UNDEFINED_UNIT,
} from '../src/copy/codepages.js';
import { convertText, decodeText, TEXT_HAS_NUL, TEXT_INVALID } from '../src/copy/text.js';
import { AppError } from '../src/errors.js';
import { sharedOut } from './support/copyBinary.js';

type PageName = Exclude<TextEncoding, 'utf16le' | 'utf8'>;
const pages = TEXT_ENCODINGS.filter((name): name is PageName => name !== 'utf16le' && name !== 'utf8');
const singles = pages.filter((name) => !isDoubleByte(name));
const doubles = pages.filter(isDoubleByte);
const { out } = sharedOut(8192);

/** One conversion in a value of its own; the text, or the negative code. */
function convert(bytes: Buffer, encoding: TextEncoding): string | number {
  const src = Buffer.concat([Buffer.from('?'), bytes, Buffer.from('?')]);
  const end = convertText(src, 1, bytes.length, encoding, out, 7);
  return end < 0 ? end : out.toString('utf8', 7, end);
}

function agree(bytes: Buffer, encoding: TextEncoding, expected: string | null): void {
  const label = `${encoding} ${bytes.toString('hex')}`;
  if (expected === null) {
    assert.equal(convert(bytes, encoding), TEXT_INVALID, label);
    assert.throws(
      () => decodeText(bytes, encoding),
      (error) => error instanceof AppError && error.code === 'VALUE_UNREPRESENTABLE',
    );
  } else {
    assert.equal(decodeText(bytes, encoding), expected, label);
    assert.equal(convert(bytes, encoding), expected === '\0' ? TEXT_HAS_NUL : expected, label);
  }
}

describe('code pages', () => {
  for (const encoding of singles) {
    it(`${encoding}: every byte`, () => {
      for (let byte = 0; byte < 256; byte += 1) {
        const bytes = Buffer.from([byte]);
        const known = iconv.decode(bytes, encoding);
        const control = byte >= 0x80 && byte < 0xa0 ? String.fromCharCode(byte) : null;
        agree(bytes, encoding, known === '\ufffd' ? control : known);
      }
      // Behind an ASCII run and long enough for the engine's ASCII check too.
      const tail = encoding === 'cp437' ? '\u2592' : iconv.decode(Buffer.from([0xc0]), encoding);
      for (const length of [3, 4, 5, 8, 9, 398, 399, 400, 401, 1000]) {
        const run = Buffer.alloc(length, 'abc');
        assert.equal(convert(run, encoding), run.toString('latin1'));
        const high = Buffer.from([encoding === 'cp437' ? 0xb1 : 0xc0]);
        const mixed = Buffer.concat([run, high, Buffer.from('abcab')]);
        assert.equal(convert(mixed, encoding), `${run.toString('latin1')}${tail}abcab`);
        const nul = Buffer.from(run);
        nul[length - 2] = 0;
        assert.equal(convert(nul, encoding), TEXT_HAS_NUL);
      }
    });
  }

  for (const encoding of doubles) {
    it(`${encoding}: every byte and every pair`, () => {
      const page = codePage(encoding as PageName);
      assert.equal(page.kind, 'double');
      if (page.kind !== 'double') return;
      let privateUse = 0;
      for (let first = 0; first < 256; first += 1) {
        const single = Buffer.from([first]);
        if (page.isLead[first] === 0) {
          const known = iconv.decode(single, encoding);
          agree(single, encoding, known === '\ufffd' ? (first === 0x80 ? '\x80' : null) : known);
          continue;
        }
        agree(single, encoding, null);
        for (let second = 0; second < 256; second += 1) {
          const pair = Buffer.from([first, second]);
          const known = iconv.decode(pair, encoding);
          if (known.length === 1 && known !== '\ufffd') {
            agree(pair, encoding, known);
            continue;
          }
          const unit = page.table[(first << 8) | second]!;
          if (unit === UNDEFINED_UNIT) {
            agree(pair, encoding, null);
          } else {
            assert.ok(unit >= 0xe000 && unit <= 0xf8ff, `${encoding} ${pair.toString('hex')} is private use`);
            privateUse += 1;
            agree(pair, encoding, String.fromCharCode(unit));
          }
        }
      }
      assert.ok(privateUse > 0);
      const text = iconv.decode(Buffer.concat([Buffer.alloc(450, 'x'), Buffer.from([0xb0, 0xa1])]), encoding);
      assert.equal(convert(iconv.encode(text, encoding), encoding), text);
    });
  }

  it('map the user-defined ranges as Windows does', () => {
    const expected: [PageName, number, number][] = [
      ['cp932', 0xf040, 0xe000],
      ['cp932', 0xf9fc, 0xe757],
      ['cp936', 0xaaa1, 0xe000],
      ['cp936', 0xaffe, 0xe233],
      ['cp936', 0xf8a1, 0xe234],
      ['cp936', 0xfefe, 0xe4c5],
      ['cp936', 0xa140, 0xe4c6],
      ['cp936', 0xa7a0, 0xe765],
      ['cp949', 0xc9a1, 0xe000],
      ['cp949', 0xfefe, 0xe0bb],
      ['cp950', 0xfa40, 0xe000],
      ['cp950', 0xfefe, 0xe310],
      ['cp950', 0x8e40, 0xe311],
      ['cp950', 0xa0fe, 0xeeb7],
      ['cp950', 0x8140, 0xeeb8],
      ['cp950', 0x8dfe, 0xf6b0],
      ['cp950', 0xc6a1, 0xf6b1],
      ['cp950', 0xc8fe, 0xf848],
    ];
    for (const [encoding, pair, unit] of expected) {
      assert.equal(codePage(encoding).table[pair], unit, `${encoding} ${pair.toString(16)}`);
    }
    for (const encoding of doubles) {
      const { table } = codePage(encoding as PageName);
      const private_ = table.filter((unit) => unit >= 0xe000 && unit <= 0xf8ff);
      assert.equal(
        new Set(private_).size,
        private_.length,
        `${encoding}: no two pairs share a private character`,
      );
    }
  });

  it('build their tables once', () => {
    assert.equal(codePage('cp1252'), codePage('cp1252'));
  });
});
