/**
 * The code pages that SQL Server's collations store char and varchar in, as lookup tables to UTF-16.
 *
 * Built from iconv-lite on first use, once per thread. Where iconv-lite knows no character, Windows'
 * MultiByteToWideChar is followed (SQL Server converts with the same tables): the bytes 0x80 to 0x9F that the
 * Windows pages leave open are the C1 controls of the same number, and the user-defined ranges of the double-byte
 * pages are private use characters. What stays undefined is refused, never replaced.
 */
import iconv from 'iconv-lite';

export const TEXT_ENCODINGS = [
  'utf16le',
  'utf8',
  'cp874',
  'cp932',
  'cp936',
  'cp949',
  'cp950',
  'cp1250',
  'cp1251',
  'cp1252',
  'cp1253',
  'cp1254',
  'cp1255',
  'cp1256',
  'cp1257',
  'cp1258',
  'cp437',
  'cp850',
] as const;

/** How the bytes of a character value are to be read. */
export type TextEncoding = (typeof TEXT_ENCODINGS)[number];

/** Stands in the tables for bytes that are no character: U+FFFF is a noncharacter that no code page maps to. */
export const UNDEFINED_UNIT = 0xffff;

export interface SingleBytePage {
  kind: 'single';
  /** 256 code units, `UNDEFINED_UNIT` where there is none. */
  table: Uint16Array;
}

export interface DoubleBytePage {
  kind: 'double';
  /** 65536 code units: a single byte at its own index, a pair at lead << 8 | trail. */
  table: Uint16Array;
  /** 256 flags: 1 for a byte that opens a pair. */
  isLead: Uint8Array;
}

export type CodePage = SingleBytePage | DoubleBytePage;

/** A run of pairs that Windows maps to private use characters, trails ascending within leads. */
interface UserDefinedRange {
  leads: [first: number, last: number];
  trails: [first: number, last: number][];
  /** The first character; the others follow in order. */
  start: number;
}

interface DoubleByteRules {
  leads: [first: number, last: number][];
  userDefined: UserDefinedRange[];
}

const BIG5_TRAILS: [number, number][] = [
  [0x40, 0x7e],
  [0xa1, 0xfe],
];
const SJIS_TRAILS: [number, number][] = [
  [0x40, 0x7e],
  [0x80, 0xfc],
];
const EUC_TRAILS: [number, number][] = [[0xa1, 0xfe]];
const GBK_LOW_TRAILS: [number, number][] = [
  [0x40, 0x7e],
  [0x80, 0xa0],
];

const DOUBLE_BYTE: Partial<Record<TextEncoding, DoubleByteRules>> = {
  cp932: {
    leads: [
      [0x81, 0x9f],
      [0xe0, 0xfc],
    ],
    userDefined: [{ leads: [0xf0, 0xf9], trails: SJIS_TRAILS, start: 0xe000 }],
  },
  cp936: {
    leads: [[0x81, 0xfe]],
    userDefined: [
      { leads: [0xaa, 0xaf], trails: EUC_TRAILS, start: 0xe000 },
      { leads: [0xf8, 0xfe], trails: EUC_TRAILS, start: 0xe234 },
      { leads: [0xa1, 0xa7], trails: GBK_LOW_TRAILS, start: 0xe4c6 },
    ],
  },
  cp949: {
    leads: [[0x81, 0xfe]],
    userDefined: [
      { leads: [0xc9, 0xc9], trails: EUC_TRAILS, start: 0xe000 },
      { leads: [0xfe, 0xfe], trails: EUC_TRAILS, start: 0xe05e },
    ],
  },
  cp950: {
    leads: [[0x81, 0xfe]],
    userDefined: [
      { leads: [0xfa, 0xfe], trails: BIG5_TRAILS, start: 0xe000 },
      { leads: [0x8e, 0xa0], trails: BIG5_TRAILS, start: 0xe311 },
      { leads: [0x81, 0x8d], trails: BIG5_TRAILS, start: 0xeeb8 },
      { leads: [0xc6, 0xc6], trails: EUC_TRAILS, start: 0xf6b1 },
      { leads: [0xc7, 0xc8], trails: BIG5_TRAILS, start: 0xf70f },
    ],
  },
};

/** @returns whether characters of this encoding are one or two code page bytes */
export function isDoubleByte(encoding: TextEncoding): boolean {
  return DOUBLE_BYTE[encoding] !== undefined;
}

const pages = new Map<TextEncoding, CodePage>();

/** @returns the tables of a code page; the same object every time on one thread. */
export function codePage(encoding: Exclude<TextEncoding, 'utf16le' | 'utf8'>): CodePage {
  let page = pages.get(encoding);
  if (page === undefined) {
    const rules = DOUBLE_BYTE[encoding];
    page = rules === undefined ? buildSingle(encoding) : buildDouble(encoding, rules);
    pages.set(encoding, page);
  }
  return page;
}

const shared = new Map<TextEncoding, ReadonlySet<number>>();

/**
 * @returns the code units that a double-byte page has several pairs for, such as NEC's and IBM's in cp932: which one a
 * text was made of it doesn't say. 396 of cp932, 10 of cp950, none of the others.
 */
export function sharedUnits(encoding: 'cp932' | 'cp950'): ReadonlySet<number> {
  let units = shared.get(encoding);
  if (units === undefined) {
    const seen = new Set<number>();
    const { table } = codePage(encoding);
    units = new Set(table.filter((unit) => unit !== UNDEFINED_UNIT && seen.size === seen.add(unit).size));
    shared.set(encoding, units);
  }
  return units;
}

function buildSingle(encoding: TextEncoding): SingleBytePage {
  const table = new Uint16Array(256).fill(UNDEFINED_UNIT);
  for (let byte = 0; byte < 256; byte += 1) table[byte] = decodeOne(Buffer.from([byte]), encoding);
  for (let byte = 0x80; byte < 0xa0; byte += 1) {
    if (table[byte] === UNDEFINED_UNIT) table[byte] = byte;
  }
  return { kind: 'single', table };
}

function buildDouble(encoding: TextEncoding, rules: DoubleByteRules): DoubleBytePage {
  const table = new Uint16Array(0x10000).fill(UNDEFINED_UNIT);
  const isLead = new Uint8Array(256);
  for (const [first, last] of rules.leads) isLead.fill(1, first, last + 1);
  for (let byte = 0; byte < 256; byte += 1) {
    if (isLead[byte] === 0) table[byte] = decodeOne(Buffer.from([byte]), encoding);
  }
  if (table[0x80] === UNDEFINED_UNIT) table[0x80] = 0x80;
  for (let lead = 0x80; lead < 256; lead += 1) {
    if (isLead[lead] === 1) fillRow(table, lead, encoding);
  }
  for (const range of rules.userDefined) fillUserDefined(table, range);
  return { kind: 'double', table, isLead };
}

/** One decode per lead byte: the pairs stand between line feeds, which are never a trail. */
function fillRow(table: Uint16Array, lead: number, encoding: TextEncoding): void {
  const firstTrail = 0x40;
  const bytes = Buffer.alloc((0xff - firstTrail) * 3, 0x0a);
  for (let trail = firstTrail; trail < 0xff; trail += 1) {
    bytes[(trail - firstTrail) * 3] = lead;
    bytes[(trail - firstTrail) * 3 + 1] = trail;
  }
  const characters = iconv.decode(bytes, encoding, { stripBOM: false }).split('\n');
  for (let trail = firstTrail; trail < 0xff; trail += 1) {
    const character = characters[trail - firstTrail]!;
    if (character.length === 1 && character !== '\ufffd') {
      table[(lead << 8) | trail] = character.charCodeAt(0);
    }
  }
}

function fillUserDefined(table: Uint16Array, range: UserDefinedRange): void {
  let unit = range.start;
  for (let lead = range.leads[0]; lead <= range.leads[1]; lead += 1) {
    for (const [first, last] of range.trails) {
      for (let trail = first; trail <= last; trail += 1) {
        const index = (lead << 8) | trail;
        if (table[index] === UNDEFINED_UNIT) table[index] = unit;
        unit += 1;
      }
    }
  }
}

function decodeOne(bytes: Buffer, encoding: TextEncoding): number {
  const character = iconv.decode(bytes, encoding, { stripBOM: false });
  return character.length === 1 && character !== '\ufffd' ? character.charCodeAt(0) : UNDEFINED_UNIT;
}
