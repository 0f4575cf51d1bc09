/**
 * T-SQL scalar expressions and search conditions as trees. Parentheses are gone: the tree has their meaning.
 *
 * Types only.
 */

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^';

/** A type as CAST names it: `decimal(18, 4)`, `varchar(max)`. */
export interface TypeName {
  /** System type in lower case. */
  name: string;
  /** What stands in parentheses; -1 is max. */
  arguments: number[];
}

export type Expression =
  | { kind: 'null' }
  | { kind: 'number'; text: string }
  | { kind: 'money'; text: string }
  | { kind: 'string'; value: string; national: boolean }
  | { kind: 'binary'; hex: string }
  /** A column, by the last part of its name. */
  | { kind: 'column'; name: string }
  | { kind: 'sign'; operator: '-' | '+' | '~'; operand: Expression }
  | { kind: 'arithmetic'; operator: Arithmetic; left: Expression; right: Expression }
  /** `name` in upper case. A date part is a `column`. */
  | { kind: 'call'; name: string; arguments: Expression[] }
  | { kind: 'cast'; tries: boolean; operand: Expression; type: TypeName; style: Expression | null }
  | {
      kind: 'case';
      subject: Expression | null;
      branches: { when: Expression; result: Expression }[];
      otherwise: Expression | null;
    }
  | { kind: 'next value'; schema: string | null; name: string }
  | { kind: 'collate'; operand: Expression; collation: string }
  | { kind: 'and' | 'or'; left: Expression; right: Expression }
  | { kind: 'not'; operand: Expression }
  | { kind: 'compare'; operator: Comparison; left: Expression; right: Expression }
  | { kind: 'is null'; operand: Expression; negated: boolean }
  | { kind: 'in'; operand: Expression; values: Expression[]; negated: boolean }
  | { kind: 'between'; operand: Expression; low: Expression; high: Expression; negated: boolean }
  | { kind: 'like'; operand: Expression; pattern: Expression; escape: Expression | null; negated: boolean };
