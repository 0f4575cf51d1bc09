/**
 * LIKE, as a regular expression: T-SQL's patterns know sets in brackets, PostgreSQL's LIKE does not.
 *
 * Pure, any thread.
 */
import { collationOf } from './compare.js';
import { type StringComparison, stringComparison } from './sqlType.js';
import { Untranslatable } from './untranslatable.js';
import { hasNoCase, operand, quoteText, type Scope, type Value } from './value.js';

type Part = { kind: 'any' } | { kind: 'one' } | { kind: 'text'; text: string } | CharacterSet;
interface CharacterSet {
  kind: 'set';
  negated: boolean;
  /** Single characters and ranges of two. */
  members: (string | [string, string])[];
}

/** @returns a condition. */
export function like(
  scope: Scope,
  value: Value,
  pattern: Value,
  escapeValue: Value | null,
  negated: boolean,
): string {
  if (value.type.family !== 'string') throw new Untranslatable('LIKE on what is no string');
  if (pattern.literal?.kind !== 'string') throw new Untranslatable('the pattern of LIKE is no literal');
  if (
    escapeValue !== null &&
    (escapeValue.literal?.kind !== 'string' || [...escapeValue.literal.value].length !== 1)
  ) {
    throw new Untranslatable('the escape of LIKE is not one character');
  }
  const rules = stringComparison(collationOf(scope, value, pattern));
  if (!rules.accentSensitive) throw new Untranslatable('the collation compares without accents');
  const escapeText = escapeValue?.literal?.kind === 'string' ? escapeValue.literal.value : null;
  const parts = parsePattern(pattern.literal.value, escapeText);
  const texts = parts.map((part) =>
    part.kind === 'text' ? part.text : part.kind === 'set' ? part.members.flat().join('') : '',
  );
  const folds = !rules.caseSensitive && !texts.every(hasNoCase);
  if (folds) scope.caveat('strings are compared without case');
  // Trailing blanks of the value do not count where neither side is Unicode.
  const national = value.type.national || (pattern.type.family === 'string' && pattern.type.national);
  if (value.type.padded && national) throw new Untranslatable('LIKE counts the trailing blanks of nchar');
  const blanks = !national && parts.at(-1)?.kind !== 'any';
  const not = negated ? 'NOT ' : '';
  if (!blanks && parts.every(({ kind }) => kind !== 'set')) {
    const text = parts.map((part) => likeText(part as Exclude<Part, CharacterSet>)).join('');
    return `${operand(value)} ${not}${folds ? 'ILIKE' : 'LIKE'} ${quoteText(text)}`;
  }
  const body = parts.map((part) => regexText(part, rules, scope)).join('');
  const text = `^${body}${blanks ? ' *' : ''}$`.replace(/\.\*\$$/, '');
  return `${operand(value)} ${negated ? '!~' : '~'}${folds ? '*' : ''} ${quoteText(text)}`;
}

function parsePattern(pattern: string, escapeCharacter: string | null): Part[] {
  const characters = [...pattern];
  const parts: Part[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    if (character === escapeCharacter) {
      const next = characters[++at];
      if (next === undefined) throw new Untranslatable('the pattern of LIKE ends with its escape');
      parts.push({ kind: 'text', text: next });
    } else if (character === '%') parts.push({ kind: 'any' });
    else if (character === '_') parts.push({ kind: 'one' });
    else if (character === '[') {
      const close = characters.indexOf(']', at + 1);
      if (close === -1) throw new Untranslatable('a bracket of the pattern of LIKE is not closed');
      const inner = characters.slice(at + 1, close);
      if (escapeCharacter !== null && inner.includes(escapeCharacter))
        throw new Untranslatable('LIKE escapes within brackets');
      parts.push(parseSet(inner));
      at = close;
    } else parts.push({ kind: 'text', text: character });
  }
  return parts;
}

function parseSet(characters: string[]): CharacterSet {
  const negated = characters[0] === '^';
  const rest = negated ? characters.slice(1) : characters;
  if (rest.length === 0) throw new Untranslatable('brackets of the pattern of LIKE are empty');
  const members: CharacterSet['members'] = [];
  for (let at = 0; at < rest.length; at++) {
    const [first, dash, last] = rest.slice(at, at + 3);
    if (dash === '-' && last !== undefined) {
      members.push([first as string, last]);
      at += 2;
    } else members.push(first as string);
  }
  return { kind: 'set', negated, members };
}

function likeText(part: Exclude<Part, CharacterSet>): string {
  if (part.kind === 'any') return '%';
  if (part.kind === 'one') return '_';
  return /[%_\\]/.test(part.text) ? `\\${part.text}` : part.text;
}

function regexText(part: Part, rules: StringComparison, scope: Scope): string {
  if (part.kind === 'any') return '.*';
  if (part.kind === 'one') return '.';
  if (part.kind === 'text') return part.text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const members = part.members.map((member) => {
    if (typeof member === 'string') return member.replace(/[\]\\[^-]/g, '\\$&');
    const [low, high] = member;
    const digits = /^[0-9]$/.test(low) && /^[0-9]$/.test(high);
    if (!rules.binary && !digits) {
      throw new Untranslatable(`[${low}-${high}] holds what the collation sorts between ${low} and ${high}`);
    }
    if (!rules.binary) scope.caveat(`[${low}-${high}] stands for ASCII digits only`);
    if (low > high || !/^[\w ]$/.test(low) || !/^[\w ]$/.test(high)) {
      throw new Untranslatable(`[${low}-${high}] has no translation`);
    }
    return `${low}-${high}`;
  });
  return `[${part.negated ? '^' : ''}${members.join('')}]`;
}
