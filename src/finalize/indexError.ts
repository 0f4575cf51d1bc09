/**
 * Finds the words for an index that could not be made: which row has more than an index holds, of which PostgreSQL says
 * only where it lies, and how keys that the source tells apart came to be the same.
 *
 * Runs on the main thread.
 */
import { AppError, type ErrorPlace } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import { targetKey } from '../plan/modes/upsert.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';

/** Characters of a key's values that are shown. */
const SHOWN_CHARACTERS = 100;

/** SQLSTATE unique_violation. */
const DUPLICATE = '23505';

/**
 * @param thrown why an index could not be made
 * @param otherwise what else helps than to shorten a value
 * @returns it with the row's key and what to do, where its rows are the reason; else as it is
 */
export async function indexError(
  target: Pick<TargetConnection, 'query'>,
  plan: TablePlan,
  name: string,
  thrown: unknown,
  otherwise: string,
): Promise<unknown> {
  if (!(thrown instanceof AppError)) return thrown;
  const { code, place, serverCode, message } = thrown;
  const told = { ...place, ...(serverCode !== undefined && { serverCode }), cause: thrown };
  if (code === 'VALUE_TOO_LARGE') {
    return new AppError(code, `${name} can't be made: ${message}`, {
      ...told,
      ...(await keyAt(target, plan, thrown.cause)),
      remedy: `Shorten the value on both sides, then \`resume\`; or ${otherwise}.`,
    });
  }
  if (serverCode !== DUPLICATE) return thrown;
  return new AppError(code, message, {
    ...told,
    remedy:
      'The source tells these keys apart, by what the type of the target does not keep, or was written to while it was read. Give the column a type that keeps the difference in migration.type_overrides, mend the rows in the source, or set source.isolation: snapshot; then run again.',
  });
}

/** @returns the key of the row whose place, `(block,line)`, the server's error has */
async function keyAt(
  target: Pick<TargetConnection, 'query'>,
  plan: TablePlan,
  cause: unknown,
): Promise<ErrorPlace> {
  const { detail = '' } = (cause ?? {}) as { detail?: string };
  const [place] = /\(\d+,\d+\)/.exec(detail) ?? [];
  const key = targetKey(plan);
  if (place === undefined || key.length === 0) return {};
  const texts = key.map((name, i) => `left(${quoteIdent(name)}::text, ${SHOWN_CHARACTERS}) AS k${i}`);
  const sql = `SELECT ${texts.join(', ')} FROM ${qualified(plan.target)} WHERE ctid = $1::tid`;
  const [row] = await target.query<Record<string, string>>(sql, [place]).catch(() => []);
  return row === undefined ? {} : { key: key.map((name, i) => `${name}=${row[`k${i}`]}`).join(', ') };
}
