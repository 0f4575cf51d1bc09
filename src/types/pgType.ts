/**
 * The names of PostgreSQL types, as people write them and as `format_type` spells them.
 *
 * Pure, any thread.
 */

export interface PgType {
  /** As `format_type` spells it: `character varying`. */
  name: string;
  /** Numbers in parentheses, or null where the type is unconstrained. */
  modifiers: [number] | [number, number] | null;
}

const ALIASES: Record<string, string> = {
  varchar: 'character varying',
  char: 'character',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
  time: 'time without time zone',
  timetz: 'time with time zone',
  int: 'integer',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  float8: 'double precision',
  float4: 'real',
  bool: 'boolean',
  decimal: 'numeric',
};

/** The short names that DDL of this program uses. */
const SHORT: Record<string, string> = {
  'character varying': 'varchar',
  character: 'char',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
  'time without time zone': 'time',
};

/** @returns the type's name and numbers; a text of another form is a name without numbers. */
export function parsePgType(type: string): PgType {
  const match = /^([^(]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?(\s+with(?:out)? time zone)?$/.exec(
    type.trim(),
  );
  if (match === null) return { name: type, modifiers: null };
  const [, base = '', first, second, zone = ''] = match;
  const words = (base + zone).toLowerCase().replace(/\s+/g, ' ');
  const name = ALIASES[words] ?? words;
  // DDL's char is char(1).
  if (first === undefined) return { name, modifiers: name === 'character' ? [1] : null };
  return { name, modifiers: second === undefined ? [Number(first)] : [Number(first), Number(second)] };
}

/** @returns the type as this program's DDL spells it: `varchar(50)`, `timestamptz`. */
export function spellPgType({ name, modifiers }: PgType): string {
  const short = SHORT[name] ?? name;
  return modifiers === null ? short : `${short}(${modifiers.join(',')})`;
}
