/**
 * geometry and geography as PostGIS has them: the extended well-known binary that PostGIS reads and writes.
 *
 * Main and reader threads; pure. The source puts the bytes together while it reads: they arrive as varbinary.
 */
import type { SourceColumn } from '../source/model.js';
import type { Converted } from './conversions.js';
import { bytesField } from './hash.js';
import type { PgType } from './pgType.js';

/** The bit of the type word that says that a spatial reference id follows; in the word's last byte. */
const HAS_SRID = 32;

/** `AsBinaryZM()` is little-endian here: a byte for the order, the type word, the rest. */
function sourceEwkb(value: string): string {
  const wkb = `CONVERT(varbinary(max), ${value}.AsBinaryZM())`;
  const srid = `CONVERT(binary(4), ${value}.STSrid)`;
  const byte = (at: number): string => `SUBSTRING(${srid}, ${at}, 1)`;
  const flagged = `CONVERT(binary(1), CONVERT(int, SUBSTRING(${wkb}, 5, 1)) | ${HAS_SRID})`;
  return `SUBSTRING(${wkb}, 1, 4) + ${flagged} + ${[4, 3, 2, 1].map(byte).join(' + ')} + SUBSTRING(${wkb}, 6, DATALENGTH(${wkb}))`;
}

/** The same from a PostGIS value; `ST_AsBinary` numbers types with Z and M as SQL Server does, `ST_AsEWKB` does not. */
function targetEwkb(value: string): string {
  const wkb = `ST_AsBinary(${value}, 'NDR')`;
  const srid = `int4send(ST_SRID(CAST(${value} AS geometry)))`;
  const byte = (at: number): string => `substr(${srid}, ${at}, 1)`;
  const flagged = `set_byte('\\x00'::bytea, 0, get_byte(${wkb}, 4) | ${HAS_SRID})`;
  return `(substr(${wkb}, 1, 4) || ${flagged} || ${[4, 3, 2, 1].map(byte).join(' || ')} || substr(${wkb}, 6))`;
}

export const spatialConversion = {
  from: ['geometry', 'geography'],
  to: 'geometry or geography, whichever it is, with PostGIS in the target',
  convert(column: SourceColumn, _own: unknown, to: PgType): Converted | null {
    if (to.name !== column.type || to.modifiers !== null) return null;
    return {
      field: 'bytea',
      select: sourceEwkb,
      hash: {
        targetField: (value) => bytesField(targetEwkb(value)),
        sourceBytes: sourceEwkb,
        fixedBytes: null,
        maxBytes: Number.POSITIVE_INFINITY,
        ordered: false,
      },
      loses: null,
      conversion: { toOwn: () => null, fromOwn: () => null },
    };
  },
};
