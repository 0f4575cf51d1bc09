/**
 * The registry of type families: the one place that knows them all.
 *
 * A new type is one file beside this one and one line in each list.
 */
import { AppError } from '../errors.js';
import type { WireColumn } from '../tds/colmetadata.js';
import { binaryCodec, binaryMapper } from './binary.js';
import { convert } from './conversions.js';
import { convertedMapper } from './converted.js';
import { convertingCodec } from './convertingCodecs.js';
import { datetimeCodec, datetimeMapper } from './datetime.js';
import { decimalCodec, decimalMapper } from './decimal.js';
import {
  type ColumnMapping,
  type MappedColumn,
  notAsPlanned,
  type TargetField,
  type TypeCodec,
  type TypeMapper,
} from './family.js';
import { floatCodec, floatMapper } from './float.js';
import { integerCodec, integerMapper } from './integer.js';
import { textCodec, textMapper } from './text.js';
import { uuidCodec, uuidMapper } from './uuid.js';
import { variantCodec, variantMapper } from './variant.js';

const MAPPERS: readonly TypeMapper[] = [
  integerMapper,
  decimalMapper,
  floatMapper,
  datetimeMapper,
  textMapper,
  binaryMapper,
  uuidMapper,
  convertedMapper,
  variantMapper,
];

const CODECS: readonly TypeCodec[] = [
  integerCodec,
  decimalCodec,
  floatCodec,
  datetimeCodec,
  textCodec,
  binaryCodec,
  uuidCodec,
  variantCodec,
];

const mapperOf = new Map(MAPPERS.flatMap((mapper) => mapper.sqlTypes.map((type) => [type, mapper] as const)));
const codecOf = new Map(CODECS.flatMap((codec) => codec.wireTypes.map((type) => [type, codec] as const)));

/** SQL Server's types that have a mapping, as its catalog names them. */
export const SOURCE_TYPES: readonly string[] = [...mapperOf.keys()];

/** @returns whether SQL Server has a system type of this name, as far as this program knows. */
export function isSourceType(name: string): boolean {
  return mapperOf.has(name);
}

/**
 * @returns what the column becomes in PostgreSQL
 * @throws AppError TYPE_UNSUPPORTED naming the column and its type, CONFIG_INVALID where `as` is no type it can become
 */
export function mapColumn(column: MappedColumn): ColumnMapping {
  const mapper = mapperOf.get(column.type);
  if (mapper === undefined) {
    throw new AppError(
      'TYPE_UNSUPPORTED',
      `Column ${column.name} has type ${column.declaredType}, which has no mapping`,
      {
        column: column.name,
        remedy: 'Exclude the table with exclude_tables.',
      },
    );
  }
  const own = mapper.map(column);
  return column.as === undefined ? own : convert(column, own, column.as);
}

/**
 * @returns the codec that turns this wire type into this field
 * @throws AppError SCHEMA_CONFLICT where the result set is not what the plan expected, TYPE_UNSUPPORTED for
 *   text of an unknown code page; neither says where
 */
export function codecFor(column: WireColumn, target: TargetField): TypeCodec {
  const codec = (target.converted ? convertingCodec(column, target) : null) ?? codecOf.get(column.type);
  if (!codec?.targets.includes(target.field)) throw notAsPlanned(column, target);
  codec.check?.(column, target);
  return codec;
}
