/**
 * Whether a column that is already there takes exactly the values the plan sends, and gives them back as they are.
 *
 * Pure, any thread. "Takes" is not enough: PostgreSQL rounds numeric and timestamps to a column's typmod, and cuts
 * trailing spaces off text, without a word.
 */
import { type PgType, parsePgType } from '../types/pgType.js';

/** Types whose values PostgreSQL makes of others where an expression asks for them, rounded or cut as they need. */
const NUMBERS = new Set(['smallint', 'integer', 'bigint', 'real', 'double precision']);

/** @returns whether an expression over `planned` numbers would take values of `existing` for others, without a word. */
export function roundsInSilence(planned: string, existing: string): boolean {
  const { name } = parsePgType(planned);
  return NUMBERS.has(name) && parsePgType(existing).name !== name;
}

/** @returns the decimals of `planned` where it is a numeric and `existing` one that may hold more of them, or null. */
export function fewerDecimals(planned: string, existing: string): number | null {
  const [from, to] = [parsePgType(planned), parsePgType(existing)];
  if (from.name !== 'numeric' || to.name !== 'numeric' || from.modifiers === null) return null;
  const [, decimals = 0] = from.modifiers;
  const [, there = 0] = to.modifiers ?? [null, Number.POSITIVE_INFINITY];
  return there > decimals ? decimals : null;
}

/** Types that hold text of any length as it is. */
const TEXT = new Set(['text', 'character varying']);

/** @returns whether `type` is one of texts, which no number can be added to. */
export function isText(type: string): boolean {
  const { name } = parsePgType(type);
  return TEXT.has(name) || name === 'character';
}

/**
 * @param planned the type the plan would create, as DDL spells it: `varchar(50)`.
 * @param existing the type that is there, as `format_type` spells it: `character varying(40)`.
 * @returns why values of `planned` would be refused or altered by `existing`, or null where they would not.
 */
export function incompatibility(planned: string, existing: string): string | null {
  const from = parsePgType(planned);
  const to = parsePgType(existing);
  if (TEXT.has(to.name) && isText(planned)) {
    if (to.modifiers === null) return null;
    if (from.modifiers === null) return `is limited to ${to.modifiers[0]} characters`;
    return from.modifiers[0] <= to.modifiers[0] ? null : `is limited to ${to.modifiers[0]} characters`;
  }
  if (from.name !== to.name) return 'is of another type';
  switch (to.name) {
    case 'character':
      return same(from.modifiers, to.modifiers) ? null : 'is of another length';
    case 'numeric':
      return numericProblem(from, to);
    case 'timestamp without time zone':
    case 'timestamp with time zone':
    case 'time without time zone':
      return (to.modifiers?.[0] ?? 6) >= (from.modifiers?.[0] ?? 6) ? null : 'has fewer fractional digits';
    default:
      return same(from.modifiers, to.modifiers) ? null : 'has other limits';
  }
}

function numericProblem(from: PgType, to: PgType): string | null {
  if (to.modifiers === null) return null;
  if (from.modifiers === null) return 'is limited in digits';
  const [fromPrecision, fromScale = 0] = from.modifiers;
  const [toPrecision, toScale = 0] = to.modifiers;
  if (toScale < fromScale) return 'has fewer decimals';
  return toPrecision - toScale >= fromPrecision - fromScale ? null : 'has fewer digits before the point';
}

function same(a: PgType['modifiers'], b: PgType['modifiers']): boolean {
  return a?.[0] === b?.[0] && a?.[1] === b?.[1];
}
