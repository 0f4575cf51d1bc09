/**
 * SQL Server collation names to what the wire and the code page conversion need: the five [MS-TDS] COLLATION
 * bytes and the code page of varchar data. Runs on the server's thread.
 *
 * The LCIDs and sort ids are those of [MS-LCID] and of SQL Server's list of SQL collations
 * (`COLLATIONPROPERTY(name, 'LCID' | 'CodePage')`); families that no fixture uses are left out and refused.
 */
import { SqlError } from '../contract.js';

export const DEFAULT_COLLATION = 'SQL_Latin1_General_CP1_CI_AS';

export interface Collation {
  name: string;
  /** COLLATION: LCID 20 bits, flags 8 bits, version 4 bits, sort id 8 bits. */
  bytes: Buffer;
  /** iconv-lite's name of the code page of varchar data; `utf8` for a _UTF8 collation. */
  codePage: string;
}

/** Windows collation designators: LCID and code page. */
const WINDOWS: Readonly<Record<string, readonly [lcid: number, codePage: number]>> = {
  latin1_general: [0x0409, 1252],
  albanian: [0x041c, 1250],
  arabic: [0x0401, 1256],
  bosnian_cyrillic: [0x201a, 1251],
  bosnian_latin: [0x141a, 1250],
  chinese_hong_kong_stroke: [0x0c04, 950],
  chinese_prc: [0x0804, 936],
  chinese_prc_stroke: [0x20804, 936],
  chinese_simplified_pinyin: [0x0804, 936],
  chinese_simplified_stroke_order: [0x20804, 936],
  chinese_taiwan_bopomofo: [0x30404, 950],
  chinese_taiwan_stroke: [0x0404, 950],
  chinese_traditional_pinyin: [0x1404, 950],
  chinese_traditional_stroke_count: [0x0404, 950],
  croatian: [0x041a, 1250],
  cyrillic_general: [0x0419, 1251],
  czech: [0x0405, 1250],
  danish_norwegian: [0x0406, 1252],
  danish_greenlandic: [0x0406, 1252],
  estonian: [0x0425, 1257],
  finnish_swedish: [0x040b, 1252],
  french: [0x040c, 1252],
  german_phonebook: [0x10407, 1252],
  greek: [0x0408, 1253],
  hebrew: [0x040d, 1255],
  hungarian: [0x040e, 1250],
  hungarian_technical: [0x1040e, 1250],
  icelandic: [0x040f, 1252],
  japanese: [0x0411, 932],
  japanese_bushu_kakusu: [0x40411, 932],
  japanese_unicode: [0x10411, 932],
  japanese_xjis: [0x0411, 932],
  kazakh: [0x043f, 1251],
  korean: [0x0412, 949],
  korean_wansung: [0x0412, 949],
  latvian: [0x0426, 1257],
  lithuanian: [0x0427, 1257],
  macedonian_fyrom: [0x042f, 1251],
  modern_spanish: [0x0c0a, 1252],
  norwegian: [0x0414, 1252],
  persian: [0x0429, 1256],
  polish: [0x0415, 1250],
  romanian: [0x0418, 1250],
  serbian_cyrillic: [0x0c1a, 1251],
  serbian_latin: [0x081a, 1250],
  slovak: [0x041b, 1250],
  slovenian: [0x0424, 1250],
  thai: [0x041e, 874],
  traditional_spanish: [0x040a, 1252],
  turkish: [0x041f, 1254],
  ukrainian: [0x0422, 1251],
  urdu: [0x0420, 1256],
  vietnamese: [0x042a, 1258],
  welsh: [0x0452, 1252],
};

/** SQL collations: sort id, LCID, code page. */
const SQL: Readonly<Record<string, readonly [sortId: number, lcid: number, codePage: number]>> = {
  sql_latin1_general_cp437_bin: [30, 0x0409, 437],
  sql_latin1_general_cp437_cs_as: [31, 0x0409, 437],
  sql_latin1_general_cp437_ci_as: [32, 0x0409, 437],
  sql_latin1_general_pref_cp437_ci_as: [33, 0x0409, 437],
  sql_latin1_general_cp437_ci_ai: [34, 0x0409, 437],
  sql_latin1_general_cp850_bin: [40, 0x0409, 850],
  sql_latin1_general_cp850_cs_as: [41, 0x0409, 850],
  sql_latin1_general_cp850_ci_as: [42, 0x0409, 850],
  sql_latin1_general_pref_cp850_ci_as: [43, 0x0409, 850],
  sql_latin1_general_cp850_ci_ai: [44, 0x0409, 850],
  sql_1xcompat_cp850_ci_as: [49, 0x0409, 850],
  sql_latin1_general_cp1_cs_as: [51, 0x0409, 1252],
  sql_latin1_general_cp1_ci_as: [52, 0x0409, 1252],
  sql_latin1_general_pref_cp1_ci_as: [53, 0x0409, 1252],
  sql_latin1_general_cp1_ci_ai: [54, 0x0409, 1252],
  sql_latin1_general_cp1250_cs_as: [81, 0x0409, 1250],
  sql_latin1_general_cp1250_ci_as: [82, 0x0409, 1250],
  sql_czech_cp1250_cs_as: [83, 0x0405, 1250],
  sql_czech_cp1250_ci_as: [84, 0x0405, 1250],
  sql_hungarian_cp1250_cs_as: [85, 0x040e, 1250],
  sql_hungarian_cp1250_ci_as: [86, 0x040e, 1250],
  sql_polish_cp1250_cs_as: [87, 0x0415, 1250],
  sql_polish_cp1250_ci_as: [88, 0x0415, 1250],
  sql_latin1_general_cp1251_cs_as: [105, 0x0419, 1251],
  sql_latin1_general_cp1251_ci_as: [106, 0x0419, 1251],
  sql_ukrainian_cp1251_cs_as: [107, 0x0422, 1251],
  sql_ukrainian_cp1251_ci_as: [108, 0x0422, 1251],
  sql_latin1_general_cp1253_cs_as: [113, 0x0408, 1253],
  sql_latin1_general_cp1253_ci_as: [114, 0x0408, 1253],
  sql_latin1_general_cp1254_cs_as: [129, 0x041f, 1254],
  sql_latin1_general_cp1254_ci_as: [130, 0x041f, 1254],
  sql_latin1_general_cp1255_cs_as: [137, 0x040d, 1255],
  sql_latin1_general_cp1255_ci_as: [138, 0x040d, 1255],
  sql_latin1_general_cp1256_cs_as: [145, 0x0401, 1256],
  sql_latin1_general_cp1256_ci_as: [146, 0x0401, 1256],
  sql_latin1_general_cp1257_cs_as: [153, 0x0425, 1257],
  sql_latin1_general_cp1257_ci_as: [154, 0x0425, 1257],
  sql_estonian_cp1257_cs_as: [155, 0x0425, 1257],
  sql_estonian_cp1257_ci_as: [156, 0x0425, 1257],
  sql_latvian_cp1257_cs_as: [157, 0x0426, 1257],
  sql_latvian_cp1257_ci_as: [158, 0x0426, 1257],
  sql_lithuanian_cp1257_cs_as: [159, 0x0427, 1257],
  sql_lithuanian_cp1257_ci_as: [160, 0x0427, 1257],
};

const FLAG = {
  ignoreCase: 1,
  ignoreAccent: 2,
  ignoreKana: 4,
  ignoreWidth: 8,
  binary: 16,
  binary2: 32,
  utf8: 64,
};
const VERSIONS: Readonly<Record<string, number>> = { '90': 1, '100': 2, '140': 3, '160': 4 };
const STYLES = new Set(['ci', 'cs', 'ai', 'as', 'ks', 'ws', 'sc', 'vss', 'bin', 'bin2', 'utf8']);

const known = new Map<string, Collation>();

/** @returns the collation of that name (case does not matter); SqlError 448 for one that does not exist here. */
export function collationOf(name: string): Collation {
  const key = name.toLowerCase();
  let collation = known.get(key);
  if (collation === undefined) {
    collation = parseCollation(name, key);
    known.set(key, collation);
  }
  return collation;
}

function parseCollation(name: string, key: string): Collation {
  const words = key.split('_');
  const styles: string[] = [];
  while (words.length > 0 && STYLES.has(words.at(-1)!)) styles.unshift(words.pop()!);
  const has = (style: string) => styles.includes(style);

  let flags = 0;
  if (has('bin')) flags = FLAG.binary;
  else if (has('bin2')) flags = FLAG.binary2;
  else {
    if (has('ci')) flags |= FLAG.ignoreCase;
    if (has('ai')) flags |= FLAG.ignoreAccent;
    if (!has('ks')) flags |= FLAG.ignoreKana;
    if (!has('ws')) flags |= FLAG.ignoreWidth;
  }
  if (has('utf8')) flags |= FLAG.utf8;

  const sql = SQL[key] ?? (has('bin2') ? SQL[key.replace(/_bin2$/, '_bin')] : undefined);
  if (sql !== undefined) return collation(name, sql[1], flags, 0, sql[0], `cp${sql[2]}`);

  const version = VERSIONS[words.at(-1) ?? ''] ?? 0;
  if (version !== 0) words.pop();
  const windows = WINDOWS[words.join('_')];
  if (windows === undefined || styles.length === 0) throw new SqlError(448, `Invalid collation '${name}'.`);
  return collation(name, windows[0], flags, version, 0, has('utf8') ? 'utf8' : `cp${windows[1]}`);
}

function collation(
  name: string,
  lcid: number,
  flags: number,
  version: number,
  sortId: number,
  codePage: string,
): Collation {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32LE(((lcid & 0xfffff) | (flags << 20) | (version << 28)) >>> 0, 0);
  bytes[4] = sortId;
  return { name, bytes, codePage };
}

/** @returns iconv-lite's name of the code page of COLLATION bytes that a client sent with a varchar value. */
export function codePageOfBytes(bytes: Buffer): string {
  const word = bytes.readUInt32LE(0);
  if (((word >>> 20) & FLAG.utf8) !== 0) return 'utf8';
  const sortId = bytes[4]!;
  if (sortId !== 0) {
    for (const [id, , codePage] of Object.values(SQL)) if (id === sortId) return `cp${codePage}`;
  }
  const lcid = word & 0xfffff;
  for (const [id, codePage] of Object.values(WINDOWS)) if (id === lcid) return `cp${codePage}`;
  for (const [id, codePage] of Object.values(WINDOWS))
    if ((id & 0xffff) === (lcid & 0xffff)) return `cp${codePage}`;
  // Raw collation (all zero): the server's own.
  return 'cp1252';
}
