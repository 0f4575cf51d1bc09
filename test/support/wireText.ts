/**
 * Random text in the encodings SQL Server's collations have, encoded by iconv-lite. Test process, main thread.
 */
import fc from 'fast-check';
import iconv from 'iconv-lite';

export const ENCODINGS = [
  'utf16le',
  'utf8',
  'cp1252',
  'cp1250',
  'cp1251',
  'cp1253',
  'cp1254',
  'cp1255',
  'cp1256',
  'cp1257',
  'cp1258',
  'cp932',
  'cp936',
  'cp949',
  'cp950',
  'cp874',
  'cp437',
  'cp850',
] as const;
export type Encoding = (typeof ENCODINGS)[number];

const UNICODE = [
  ...'aZ0 ~\u0001\u007f\u0080\u00e9\u07ff\u0800\u20ac\u4e2d\ud7ff\ue000\ufeff\ufffd\u{10000}\u{1f600}\u{10ffff}',
];
const DOUBLE: ReadonlySet<Encoding> = new Set(['cp932', 'cp936', 'cp949', 'cp950']);
const alphabets = new Map<Encoding, string[]>();

export function encodeText(text: string, encoding: Encoding): Buffer {
  if (encoding === 'utf16le' || encoding === 'utf8') return Buffer.from(text, encoding);
  return iconv.encode(text, encoding);
}

/** Every character an encoding can say and read back, U+0000 left out; a choice of them for Unicode. */
export function alphabetOf(encoding: Encoding): string[] {
  let alphabet = alphabets.get(encoding);
  if (alphabet === undefined) {
    alphabet = encoding === 'utf16le' || encoding === 'utf8' ? UNICODE : readBack(encoding);
    alphabets.set(encoding, alphabet);
  }
  return alphabet;
}

function readBack(encoding: Encoding): string[] {
  const found: string[] = [];
  const add = (bytes: Buffer): void => {
    const text = iconv.decode(bytes, encoding);
    if (text.length === 1 && text !== '\ufffd' && iconv.encode(text, encoding).equals(bytes))
      found.push(text);
  };
  for (let byte = 1; byte < 256; byte++) add(Buffer.from([byte]));
  if (!DOUBLE.has(encoding)) return found;
  for (let lead = 0x81; lead < 0xff; lead++) {
    // Every third trail byte is enough to have each row of the table visited.
    for (let trail = 0x40 + (lead % 3); trail < 0xff; trail += 3) add(Buffer.from([lead, trail]));
  }
  return found;
}

/** Text of at most `maxBytes` encoded: plain, mixed, empty, and at times as long as may be. */
export function randomText(encoding: Encoding, maxBytes: number): fc.Arbitrary<string> {
  const alphabet = alphabetOf(encoding);
  const unit = fc.oneof(
    { arbitrary: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), weight: 2 },
    { arbitrary: fc.nat({ max: alphabet.length - 1 }).map((i) => alphabet[i]!), weight: 1 },
  );
  const piece = fc.string({ unit, maxLength: 30 });
  return fc.oneof(
    { arbitrary: piece.map((text) => cut(text, encoding, maxBytes)), weight: 12 },
    {
      arbitrary: fc.tuple(piece, fc.integer({ min: 0, max: maxBytes })).map(([text, bytes]) => {
        const one = Math.max(encodeText(text, encoding).length, 1);
        const repeated = text.repeat(Math.floor(bytes / one));
        return cut(repeated + text, encoding, maxBytes);
      }),
      weight: 1,
    },
  );
}

/** The longest beginning of `text` that is at most `maxBytes` long, whole characters only. */
function cut(text: string, encoding: Encoding, maxBytes: number): string {
  if (encodeText(text, encoding).length <= maxBytes) return text;
  const characters = [...text];
  let low = 0;
  let high = characters.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (encodeText(characters.slice(0, middle).join(''), encoding).length <= maxBytes) low = middle;
    else high = middle - 1;
  }
  return characters.slice(0, low).join('');
}
