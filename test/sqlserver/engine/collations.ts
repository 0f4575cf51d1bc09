/**
 * SQL Server collation names: which code page, and which PostgreSQL collation compares their strings.
 *
 * Runs in the process of the stand-in SQL Server. Orders are ICU's, not Windows': equality follows case and
 * accent sensitivity, and the order is consistent with it, but neighbours may differ from a real SQL Server's.
 * BIN2 orders by code point; for varchar a real server compares code page bytes.
 */
import { SqlError, type SqlType } from '../contract.js';
import { DEFAULT_COLLATION } from './types.js';

export interface Collation {
  name: string;
  codePage: number;
  pg: string;
  binary: boolean;
  caseSensitive: boolean;
  accentSensitive: boolean;
}

/** Languages whose collations do not use code page 1252; the longest matching start wins. */
const CODE_PAGES: [RegExp, number][] = [
  [/^SQL_\w+_CP850_/i, 850],
  [/^SQL_\w+_CP437_/i, 437],
  [/^SQL_\w+_CP(125\d)_/i, 0],
  [/^SQL_\w+_(CP1|Pref_CP1)_/i, 1252],
  [
    /^(Albanian|Croatian|Czech|Hungarian|Polish|Romanian|Slovak|Slovenian|Serbian_Latin|Bosnian_Latin|Turkmen)_/i,
    1250,
  ],
  [
    /^(Cyrillic_General|Ukrainian|Macedonian|Kazakh|Azeri_Cyrillic|Serbian_Cyrillic|Bosnian_Cyrillic|Tatar|Bashkir|Yakut|Uzbek_Cyrillic)_/i,
    1251,
  ],
  [/^Greek_/i, 1253],
  [/^(Turkish|Azeri_Latin|Uzbek_Latin)_/i, 1254],
  [/^Hebrew_/i, 1255],
  [/^(Arabic|Persian|Urdu|Uighur|Pashto|Dari)_/i, 1256],
  [/^(Estonian|Latvian|Lithuanian)_/i, 1257],
  [/^Vietnamese_/i, 1258],
  [/^Thai_/i, 874],
  [/^Japanese_/i, 932],
  [/^Chinese_PRC/i, 936],
  [/^Chinese_Simplified/i, 936],
  [/^Korean_/i, 949],
  [/^Chinese_(Taiwan|Hong_Kong|Traditional)/i, 950],
  [
    /^(Latin1_General|French|Finnish_Swedish|German_PhoneBook|Danish|Danish_Greenlandic|Modern_Spanish|Traditional_Spanish|Icelandic|Norwegian|Welsh|Breton|Frisian|Romansh|Sami|Corsican|Mohawk|Mapudungan|Greenlandic)_/i,
    1252,
  ],
];

const known = new Map<string, Collation>();

/** @returns the collation's properties; throws SqlError 448 for a name that is none. */
export function collation(name: string): Collation {
  const key = name.toLowerCase();
  const cached = known.get(key);
  if (cached) return cached;
  const binary = /_BIN2?(_UTF8)?$/i.test(name);
  const sensitive = /_(C[IS])_(A[IS])(_KS)?(_WS)?(_SC)?(_VSS)?(_UTF8)?$/i.exec(name);
  const row = CODE_PAGES.find(([pattern]) => pattern.test(name));
  if (!row || (!binary && !sensitive)) throw new SqlError(448, `Invalid collation '${name}'.`);
  // SQL_..._CP1 means code page 1252, SQL_..._CP1250 and so on their own number.
  let codePage = row[1] || Number(/CP(125\d)/i.exec(name)?.[1]);
  if (/_UTF8$/i.test(name)) codePage = 65001;
  const caseSensitive = binary || sensitive?.[1]?.toUpperCase() === 'CS';
  const accentSensitive = binary || sensitive?.[2]?.toUpperCase() === 'AS';
  const icu = `tsql.${caseSensitive ? 'cs' : 'ci'}_${accentSensitive ? 'as' : 'ai'}`;
  const found = { name, codePage, pg: binary ? '"C"' : icu, binary, caseSensitive, accentSensitive };
  known.set(key, found);
  return found;
}

export const collationOf = (type: SqlType): Collation => collation(type.collation ?? DEFAULT_COLLATION);
