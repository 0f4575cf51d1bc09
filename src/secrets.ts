/**
 * Passwords, known from the moment they are read: every error, log line and stored message goes through `redacted`.
 *
 * Main thread; errors of other threads are redacted when they arrive there. Names and values of the databases are
 * printed as they are: a column may well be called like somebody's password.
 */

/** A password this short turns up in ordinary words; hiding it would tell more than it hides. */
const SHORTEST_HIDDEN = 5;
const HIDDEN = '***';

/** Every form of every secret, the longest first, so that none is left in part. */
let hidden: readonly string[] = [];

/** From here on these texts appear as `***` wherever they turn up, also as they look in URLs, JSON or base64. */
export function hideSecrets(secrets: readonly unknown[]): void {
  const forms = secrets.flatMap((secret) =>
    typeof secret === 'string' && secret.length >= SHORTEST_HIDDEN ? formsOf(secret) : [],
  );
  hidden = [...new Set([...hidden, ...forms])].sort((a, b) => b.length - a.length);
}

/** @returns how a text looks raw, in JSON, in JSON within JSON, in URLs, and in base64 without padding. */
function formsOf(secret: string): string[] {
  const inJson = JSON.stringify(secret).slice(1, -1);
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  return [
    secret,
    inJson,
    JSON.stringify(inJson).slice(1, -1),
    encodeURIComponent(secret),
    encodeURI(secret),
    base64,
    base64.replaceAll('+', '-').replaceAll('/', '_'),
  ];
}

/** @returns the text with every secret in it replaced. */
export function redacted(text: string): string {
  return hidden.reduce((clean, form) => clean.replaceAll(form, HIDDEN), text);
}

/** @returns plain data with every secret in its texts replaced. */
export function redactedValue<Value>(value: Value): Value {
  if (hidden.length === 0) return value;
  return copy(value) as Value;
}

function copy(value: unknown): unknown {
  if (typeof value === 'string') return redacted(value);
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)]));
}
