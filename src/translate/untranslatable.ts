/**
 * How the parts of the translator say that they can't go on; `translate.ts` turns it into a return value.
 *
 * Pure, any thread.
 */

/** The message is the reason a person reads: `DATENAME depends on the language of the session`. */
export class Untranslatable extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'Untranslatable';
  }
}
