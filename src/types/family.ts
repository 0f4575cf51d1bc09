/**
 * What a type family must know, and the words shared by all of them.
 *
 * A family is one file in this folder: which SQL Server types it covers, what they become in PostgreSQL,
 * how the source selects and compares them, and how a TDS value's bytes become a binary COPY field, twice:
 * as generated code for the hot path and as a plain function that is the slow path and the test oracle.
 */
import type { CopyField } from '../copy/frame.js';
import type { NulPolicy } from '../copy/text.js';
import { AppError } from '../errors.js';
import type { SourceColumn } from '../source/model.js';
import type { WireColumn } from '../tds/colmetadata.js';
import type { ColumnHash } from './hash.js';

export type { CopyField } from '../copy/frame.js';

/** How key values travel: exact text out of the source, and back as a parameter of the column's own type. */
export interface KeyText {
  /** T-SQL expression giving the exact text of a key value; `expression` is a quoted column. */
  toText(expression: string): string;
  /** T-SQL expression turning the nvarchar parameter `parameter` (`@k0`) back into the column's type. */
  fromText(parameter: string): string;
  /** Whether that is the very value the text was made of; left out where it always is. Other values don't bound a range. */
  isExact?(text: string): boolean;
}

/** A source column with what the configuration makes of it. */
export interface MappedColumn extends SourceColumn {
  /** PostgreSQL type to convert to, as `spellPgType` writes it; left out: the type's own mapping. */
  as?: string;
}

/** What one SQL Server column becomes. Built on the main thread while planning. */
export interface ColumnMapping {
  /** PostgreSQL type as DDL spells it: `numeric(19,4)`, `varchar(50)`. */
  pgType: string;
  field: CopyField;
  /** T-SQL expression that reads the column; `expression` is the quoted column. */
  select(expression: string): string;
  /** How ranges over this column are cut, or null where the type can't bound a range. */
  keyText: KeyText | null;
  /** How both servers compute the bytes that the row hash is made of. */
  hash: ColumnHash;
  /** What the mapping loses, in words, or null: `time zone offset`. */
  loses: string | null;
  /** Present where the column does not become what its type's own mapping makes of it. */
  conversion?: ColumnConversion;
}

/** What a conversion means to a reader, and to expressions that speak of the type's own mapping. */
export interface ColumnConversion {
  /** What else is to be known of it, in words. */
  remark?: string;
  /** The column's value as the own mapping would have it, in PostgreSQL; null where no expression gives it. */
  toOwn(column: string): string | null;
  /** The other way round, for a default or a computed value. */
  fromOwn(value: string): string | null;
}

/** The planning half of a type family. */
export interface TypeMapper {
  /** SQL Server system type names in lower case. */
  sqlTypes: readonly string[];
  map(column: SourceColumn): ColumnMapping;
}

/** Where a value goes: one field of the target tuple. */
export interface TargetField {
  field: CopyField;
  /** Length of a blank-padded char(n) in characters; 0 for every other type. */
  padCharacters: number;
  /** What becomes of U+0000 in text. */
  nul: NulPolicy;
  /** The plan converts: another codec than the type's own may be meant. */
  converted?: boolean;
}

/**
 * The wire half of a type family.
 *
 * Generated code sees: `ib` the input Buffer and `iv` its DataView, `v` the value's offset and `n` its length
 * in bytes (`src` names the Buffer it lies in), `ob` and `ov` the output, `o` the output offset, which it
 * moves past the field it wrote, and every function of `helpers` by its name. `BAD` as a statement gives the
 * row to the interpreter, which finds the words for what is wrong.
 */
export interface TypeCodec {
  wireTypes: readonly number[];
  targets: readonly CopyField[];
  /**
   * Holds a wire column against the planned field, beyond `wireTypes` and `targets`.
   * @throws AppError SCHEMA_CONFLICT or TYPE_UNSUPPORTED without a place
   */
  check?(column: WireColumn, target: TargetField): void;
  /**
   * @returns the largest content in bytes, length prefix left out: a number where it does not depend on the
   * value, else JavaScript over `n`
   */
  contentBytes(column: WireColumn, target: TargetField): number | string;
  /** @returns JavaScript statements that write the whole field, length prefix included. */
  emit(column: WireColumn, target: TargetField): string;
  /** @returns the field's content; throws AppError VALUE_UNREPRESENTABLE without a place. */
  encode(column: WireColumn, target: TargetField, value: Buffer): Buffer;
  /**
   * @returns the exact text of a key value as it lies on the wire, in a form that `KeyText.fromText` takes; only for
   * types that can bound a range
   */
  keyText(column: WireColumn, value: Buffer): string;
  /** Functions the emitted code calls. */
  helpers: Readonly<Record<string, unknown>>;
}

/** @returns the error for a column that changed since the run was planned. */
export function notAsPlanned(column: WireColumn, target: TargetField): AppError {
  const type = `0x${column.type.toString(16)}`;
  const size = column.maxBytes > 0 ? ` of ${column.maxBytes} bytes` : '';
  return new AppError(
    'SCHEMA_CONFLICT',
    `SQL Server sends TDS type ${type}${size} where the plan expects ${target.field}`,
    { remedy: 'The column was changed since the run was planned; start the run again.' },
  );
}
