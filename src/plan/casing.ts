/**
 * `migration.identifier_case`: how a name of the source is written in the target.
 *
 * Pure, any thread. The rules of `snake`, in this order:
 * - characters that are no letters, digits or underscores separate words: `Order Details` is `order_details`;
 * - a word begins at a capital that follows a small letter, a digit or a letter without case: `OrderID`, `Line2Text`;
 * - a run of capitals is one word, but for its last one where small letters follow: `HTTPServer` is `http_server`; a
 *   plural s stays with them: `OrderIDs` is `order_ids`;
 * - digits stay with the word before them: `Address2` is `address2`;
 * - underscores that are there stay, and none is put beside another: `Order_ID` is `order_id`.
 */

export type IdentifierCase = 'preserve' | 'lower' | 'snake';

const SEPARATORS = /[^\p{L}\p{M}\p{N}_]+/gu;
const AFTER_WORD = /(?<=[\p{Ll}\p{Lo}\p{N}]\p{M}*)(?=\p{Lu})/gu;
const LAST_OF_RUN = /(?<=\p{Lu}\p{M}*)(?=\p{Lu}(?!s(?!\p{Ll}))\p{M}*\p{Ll})/gu;

/** @returns the name as `identifierCase` has it; of any length. */
export function inCase(name: string, identifierCase: IdentifierCase): string {
  switch (identifierCase) {
    case 'preserve':
      return name;
    case 'lower':
      return name.toLowerCase();
    case 'snake':
      return snake(name);
  }
}

function snake(name: string): string {
  const words = name
    .replace(SEPARATORS, ' ')
    .trim()
    .replace(/ ?_ ?/g, '_')
    .replaceAll(' ', '_')
    .replace(AFTER_WORD, '_')
    .replace(LAST_OF_RUN, '_')
    .toLowerCase();
  // A name of nothing but separators keeps them.
  return words === '' ? name : words;
}
