/**
 * Prints trees of T-SQL as PostgreSQL: operators, CASE, and what is neither a date nor a string function.
 *
 * Pure, any thread.
 */
import type { Expression } from './ast.js';
import { alike, compare } from './compare.js';
import { assign, convert } from './convert.js';
import { DATE_FUNCTIONS } from './dates.js';
import { like } from './like.js';
import { arithmetic, NUMBER_FUNCTIONS, numberLiteral } from './numbers.js';
import { digitsOf, isNumber, type SqlType } from './sqlType.js';
import { concatenate, STRING_FUNCTIONS } from './strings.js';
import { Untranslatable } from './untranslatable.js';
import {
  atom,
  compound,
  operand,
  quoteText,
  type Scope,
  type TranslateContext,
  type Value,
} from './value.js';

const NAME: SqlType = { family: 'string', national: true, length: 128, padded: false, collation: null };
/** Functions that say who or where: SQL Server's logins are session users here. */
const WHO: Record<string, string> = {
  SUSER_SNAME: 'session_user',
  SUSER_NAME: 'session_user',
  ORIGINAL_LOGIN: 'session_user',
  SYSTEM_USER: 'session_user',
  USER_NAME: 'current_user',
  CURRENT_USER: 'current_user',
  SESSION_USER: 'current_user',
  USER: 'current_user',
  DB_NAME: 'current_database()',
};
const FUNCTIONS = { ...DATE_FUNCTIONS, ...STRING_FUNCTIONS, ...NUMBER_FUNCTIONS };

/** Prints one tree. */
export class Printer implements Scope {
  readonly context: TranslateContext;
  readonly caveats = new Set<string>();

  constructor(context: TranslateContext) {
    this.context = context;
  }

  caveat(text: string): void {
    this.caveats.add(text);
  }

  scalar(node: Expression): Value {
    switch (node.kind) {
      case 'null':
        return { ...atom('NULL', { family: 'null' }), literal: { kind: 'null' } };
      case 'number':
        return numberLiteral(node.text);
      case 'money': {
        const type: SqlType = { family: 'decimal', precision: 19, scale: 4, money: true };
        return { ...atom(node.text, type), literal: { kind: 'number', text: node.text } };
      }
      case 'string':
        return stringLiteral(node.value, node.national);
      case 'binary':
        return binaryLiteral(node.hex);
      case 'column': {
        const column = this.context.column(node.name);
        if (column === null) throw new Untranslatable(`${node.name} is no column of the table that arrives`);
        if ('unusable' in column) throw new Untranslatable(column.unusable);
        return atom(column.sql, column.type);
      }
      case 'sign':
        return this.#sign(node);
      case 'arithmetic':
        return this.#arithmetic(node);
      case 'call':
        return this.#call(node.name, node.arguments);
      case 'cast':
        return convert(this, node);
      case 'case':
        return this.#case(node);
      case 'collate':
        return this.#collate(node);
      case 'next value': {
        const name = this.context.sequence(node.schema, node.name);
        if (name === null) throw new Untranslatable(`the sequence ${node.name} does not arrive`);
        return atom(`nextval(${quoteText(name)}::regclass)`, { family: 'integer', bytes: 8 });
      }
      default:
        throw new Untranslatable('a condition stands where a value is meant');
    }
  }

  condition(node: Expression): string {
    switch (node.kind) {
      case 'and':
      case 'or': {
        const side = (part: Expression): string => {
          const text = this.condition(part);
          const plain = part.kind === node.kind || !['and', 'or'].includes(part.kind);
          return plain ? text : `(${text})`;
        };
        return `${side(node.left)} ${node.kind.toUpperCase()} ${side(node.right)}`;
      }
      case 'not':
        return `NOT (${this.condition(node.operand)})`;
      case 'compare':
        return compare(this, node.operator, this.scalar(node.left), this.scalar(node.right));
      case 'is null':
        return `${operand(this.scalar(node.operand))} IS ${node.negated ? 'NOT ' : ''}NULL`;
      case 'in':
        return this.#in(node);
      case 'between': {
        const value = this.scalar(node.operand);
        const low = compare(this, '>=', value, this.scalar(node.low));
        const high = compare(this, '<=', value, this.scalar(node.high));
        return node.negated ? `NOT (${low} AND ${high})` : `(${low} AND ${high})`;
      }
      case 'like': {
        const escapeValue = node.escape === null ? null : this.scalar(node.escape);
        return like(this, this.scalar(node.operand), this.scalar(node.pattern), escapeValue, node.negated);
      }
      default:
        throw new Untranslatable('a value stands where a condition is meant');
    }
  }

  #in(node: Expression & { kind: 'in' }): string {
    const value = this.scalar(node.operand);
    const pairs = node.values.map((item) => alike(this, value, this.scalar(item), true));
    const [first] = pairs;
    const not = node.negated ? 'NOT ' : '';
    if (first !== undefined && pairs.every(([left]) => left === first[0])) {
      return `${first[0]} ${not}IN (${pairs.map(([, right]) => right).join(', ')})`;
    }
    // The values are compared in different ways: some have letters, some don't.
    const any = pairs.map(([left, right]) => `${left} = ${right}`).join(' OR ');
    return node.negated ? `NOT (${any})` : `(${any})`;
  }

  #sign({ operator, operand: inner }: Expression & { kind: 'sign' }): Value {
    const value = this.scalar(inner);
    if (operator === '+') return value;
    if (operator === '~') {
      if (value.type.family === 'bit') return compound(`NOT ${operand(value)}`, value.type);
      if (value.type.family !== 'integer' || value.type.bytes === 1)
        throw new Untranslatable('~ of what is no integer');
      return compound(`~ ${operand(value)}`, value.type);
    }
    if (!isNumber(value.type) || value.type.family === 'bit')
      throw new Untranslatable('the negative of no number');
    if (value.literal?.kind === 'number') {
      const text = value.literal.text;
      const negative = text.startsWith('-') ? text.slice(1) : `-${text}`;
      return {
        ...atom(negative.startsWith('-') ? `(${negative})` : negative, value.type),
        literal: { kind: 'number', text: negative },
      };
    }
    return compound(`- ${operand(value)}`, value.type);
  }

  #arithmetic(node: Expression & { kind: 'arithmetic' }): Value {
    const [left, right] = [this.scalar(node.left), this.scalar(node.right)];
    const families = [left.type.family, right.type.family];
    if (node.operator === '+' && families.includes('string')) return concatenate(left, right);
    return arithmetic(node.operator, left, right);
  }

  #call(name: string, list: readonly Expression[]): Value {
    const who = WHO[name];
    if (who !== undefined && list.length === 0) return atom(`CAST(${who} AS text)`, NAME);
    const maker = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (maker !== undefined) return maker(this, list);
    switch (name) {
      case 'NEWSEQUENTIALID':
        this.caveat('NEWSEQUENTIALID becomes gen_random_uuid(), whose values do not ascend');
        return this.#uuid();
      case 'NEWID':
        return this.#uuid();
      case 'ISNULL':
        return this.#isNull(list);
      case 'COALESCE':
        return this.#coalesce(list);
      case 'NULLIF': {
        const [left, right] = this.#values(list, 2) as [Value, Value];
        const condition = compare(this, '=', left, right);
        return atom(`CASE WHEN ${condition} THEN NULL ELSE ${left.sql} END`, left.type);
      }
      case 'IIF': {
        const [when, result, otherwise] = list;
        if (when === undefined || result === undefined || otherwise === undefined) break;
        return this.#case({ kind: 'case', subject: null, branches: [{ when, result }], otherwise });
      }
    }
    throw new Untranslatable(`${name} has no exact translation`);
  }

  #uuid(): Value {
    if (this.context.pgVersion < 130_000) throw new Untranslatable('gen_random_uuid() needs PostgreSQL 13');
    return atom('gen_random_uuid()', { family: 'uuid' });
  }

  #values(list: readonly Expression[], count: number): Value[] {
    if (list.length !== count) throw new Untranslatable('a function has the wrong number of arguments');
    return list.map((item) => this.scalar(item));
  }

  /** ISNULL has the type of its first argument, whatever the second is. */
  #isNull(list: readonly Expression[]): Value {
    const [value, other] = this.#values(list, 2) as [Value, Value];
    if (value.type.family === 'null') return other;
    const replacement = assign(this, other, value.type);
    return atom(`COALESCE(${value.sql}, ${replacement.sql})`, value.type);
  }

  #coalesce(list: readonly Expression[]): Value {
    const values = list.map((item) => this.scalar(item));
    const { parts, type } = this.#unified(values);
    return atom(`COALESCE(${parts.join(', ')})`, type);
  }

  #case(node: Expression & { kind: 'case' }): Value {
    const subject = node.subject === null ? null : this.scalar(node.subject);
    const results = [
      ...node.branches.map(({ result }) => result),
      ...(node.otherwise === null ? [] : [node.otherwise]),
    ];
    const { parts, type } = this.#unified(results.map((item) => this.scalar(item)));
    const whens = node.branches.map(({ when }, index) => {
      const condition =
        subject === null ? this.condition(when) : compare(this, '=', subject, this.scalar(when));
      return `WHEN ${condition} THEN ${parts[index]}`;
    });
    const otherwise = node.otherwise === null ? '' : ` ELSE ${parts.at(-1)}`;
    return atom(`CASE ${whens.join(' ')}${otherwise} END`, type);
  }

  /** Values of which one is the result: all of the type that has the highest precedence among them. */
  #unified(values: readonly Value[]): { parts: string[]; type: SqlType } {
    const type = commonType(
      values.filter(({ type: one }) => one.family !== 'null').map(({ type: one }) => one),
    );
    return {
      parts: values.map((value) => (value.type.family === 'null' ? 'NULL' : assign(this, value, type).sql)),
      type,
    };
  }

  #collate(node: Expression & { kind: 'collate' }): Value {
    const value = this.scalar(node.operand);
    if (value.type.family !== 'string') throw new Untranslatable('COLLATE on what is no string');
    const collation = /^database_default$/i.test(node.collation)
      ? this.context.databaseCollation
      : node.collation;
    return { ...value, type: { ...value.type, collation } };
  }
}

function commonType(types: readonly SqlType[]): SqlType {
  const [first] = types;
  if (first === undefined) throw new Untranslatable('every value is NULL');
  return types.reduce(higherType, first);
}

/** By their precedence. */
const MOMENTS = ['smalldatetime', 'datetime', 'datetime2'];

function higherType(a: SqlType, b: SqlType): SqlType {
  if (a.family === 'string' && b.family === 'string') {
    const length = a.length === -1 || b.length === -1 ? -1 : Math.max(a.length, b.length);
    if (a.padded !== b.padded || (a.padded && a.length !== b.length)) {
      throw new Untranslatable('char(n) keeps its trailing blanks, PostgreSQL drops them');
    }
    return { ...a, length, national: a.national || b.national, collation: a.collation ?? b.collation };
  }
  if (a.family === 'integer' && b.family === 'integer') return a.bytes >= b.bytes ? a : b;
  if (a.family === 'float' && b.family === 'float') return a.bytes >= b.bytes ? a : b;
  if (a.family === 'float' && digitsOf(b) !== null) return a;
  if (b.family === 'float' && digitsOf(a) !== null) return b;
  const [x, y] = [digitsOf(a), digitsOf(b)];
  if (x !== null && y !== null && a.family !== 'bit' && b.family !== 'bit') {
    const scale = Math.max(x.scale, y.scale);
    const precision = Math.max(x.precision - x.scale, y.precision - y.scale) + scale;
    if (precision > 38) throw new Untranslatable('the result has more than 38 digits');
    return { family: 'decimal', precision, scale, money: false };
  }
  if (a.family === 'datetime' && b.family === 'datetime') {
    const name = MOMENTS[Math.max(MOMENTS.indexOf(a.name), MOMENTS.indexOf(b.name))] as string;
    return { family: 'datetime', name, digits: Math.max(a.digits, b.digits) };
  }
  if (a.family === b.family && 'digits' in a && 'digits' in b) return a.digits >= b.digits ? a : b;
  if (a.family !== b.family || a.family === 'other') {
    throw new Untranslatable(`values of ${a.family} and ${b.family} in one place have no exact translation`);
  }
  return a;
}

function stringLiteral(value: string, national: boolean): Value {
  if (value.includes('\0')) throw new Untranslatable('PostgreSQL has no NUL character');
  const type: SqlType = {
    family: 'string',
    national,
    length: Math.max(value.length, 1),
    padded: false,
    collation: null,
  };
  return { ...atom(quoteText(value), type), literal: { kind: 'string', value } };
}

function binaryLiteral(hex: string): Value {
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  return atom(`'\\x${even.toLowerCase()}'::bytea`, {
    family: 'binary',
    length: Math.max(even.length / 2, 1),
    fixed: false,
  });
}
