/**
 * From the five collation bytes of a character column to the encoding its varchar bytes are in.
 *
 * Any thread. [MS-TDS] Collation Rule Definition; code pages of language ids as Windows defines them.
 */
import type { TextEncoding } from '../copy/codepages.js';

const FUTF8 = 0x0400_0000;

/** Windows language ids (low 16 bits of the LCID) by their ANSI code page. */
const LANGUAGES: Record<string, readonly number[]> = {
  cp874: [0x41e],
  cp932: [0x411],
  cp936: [0x804, 0x1004],
  cp949: [0x412],
  cp950: [0x404, 0xc04, 0x1404],
  cp1250: [0x405, 0x40e, 0x415, 0x418, 0x41a, 0x41b, 0x41c, 0x424, 0x442, 0x81a, 0x104e, 0x141a],
  cp1251: [
    0x402, 0x419, 0x422, 0x423, 0x42f, 0x43f, 0x440, 0x444, 0x450, 0x46d, 0x485, 0x82c, 0x843, 0xc1a, 0x201a,
  ],
  cp1252: [
    0x403, 0x406, 0x407, 0x409, 0x40a, 0x40b, 0x40c, 0x40f, 0x410, 0x413, 0x414, 0x416, 0x417, 0x41d, 0x421,
    0x42d, 0x42e, 0x436, 0x437, 0x438, 0x43b, 0x43e, 0x452, 0x456, 0x462, 0x47a, 0x47c, 0x47e, 0x483, 0x807,
    0x809, 0x80a, 0x80c, 0x810, 0x813, 0x814, 0x816, 0x81d, 0x83b, 0x83e, 0x85f, 0xc07, 0xc09, 0xc0a, 0xc0c,
    0x1007, 0x1009, 0x100a, 0x100c, 0x1409, 0x140c, 0x1809, 0x180c, 0x1c09,
  ],
  cp1253: [0x408],
  cp1254: [0x41f, 0x42c, 0x443],
  cp1255: [0x40d],
  cp1256: [0x401, 0x420, 0x429, 0x480, 0x48c, 0x801, 0xc01],
  cp1257: [0x425, 0x426, 0x427, 0x827],
  cp1258: [0x42a],
};

/** Sort ids of the old SQL_ collations whose code page is not their language's. First and last, inclusive. */
const SORT_IDS: readonly (readonly [number, number, TextEncoding])[] = [
  [30, 35, 'cp437'],
  [40, 45, 'cp850'],
  [49, 49, 'cp850'],
  [50, 54, 'cp1252'],
  [55, 61, 'cp850'],
  [71, 75, 'cp1252'],
  [80, 98, 'cp1250'],
  [104, 108, 'cp1251'],
  [112, 124, 'cp1253'],
  [128, 130, 'cp1254'],
  [136, 138, 'cp1255'],
  [144, 146, 'cp1256'],
  [152, 160, 'cp1257'],
  [183, 186, 'cp1252'],
];

const byLanguage = new Map<number, TextEncoding>(
  Object.entries(LANGUAGES).flatMap(([page, ids]) => ids.map((id) => [id, page as TextEncoding] as const)),
);

/**
 * @param info the collation's first four bytes as a little-endian number
 * @param sortId its fifth byte; 0 for a Windows collation
 * @returns the encoding of char, varchar and text values, or null where the collation is Unicode-only or unknown
 */
export function encodingOfCollation(info: number, sortId: number): TextEncoding | null {
  if ((info & FUTF8) !== 0) return 'utf8';
  for (const [first, last, page] of SORT_IDS) {
    if (sortId >= first && sortId <= last) return page;
  }
  return byLanguage.get(info & 0xffff) ?? null;
}
