/**
 * HTML and SVG as template literals: what is put in is escaped, unless it is markup itself.
 *
 * Pure; runs on the main thread.
 */

/** Text that is HTML already. */
export class Markup {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

type Value = Markup | string | number | null | readonly (Markup | string)[];

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function markup(value: Value): string {
  if (value === null) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(markup).join('');
  // Control characters are not allowed in HTML; those a name or key may hold are shown as what they are.
  return String(value)
    .replace(/[&<>"']/g, (character) => ESCAPES[character]!)
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '\ufffd');
}

/** @returns the template with every value in it escaped; null is nothing. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Markup {
  return new Markup(String.raw({ raw: parts }, ...values.map(markup)));
}

/** @returns a value as JSON for a data block, which nothing in it can end early. */
export function dataBlock(id: string, value: unknown): Markup {
  const json = JSON.stringify(value).replaceAll('<', '\\u003c');
  return new Markup(`<script type="application/json" id="${id}">${json}</script>`);
}
