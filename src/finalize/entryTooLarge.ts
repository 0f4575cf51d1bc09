/**
 * Names the row whose values are more than an index holds: PostgreSQL says only where it lies.
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

/**
 * @param thrown why an index could not be made
 * @param otherwise what else helps than to shorten the value
 * @returns it with the row's key and what to do, where an entry was too large; else as it is
 */
export async function entryTooLarge(
  target: Pick<TargetConnection, 'query'>,
  plan: TablePlan,
  name: string,
  thrown: unknown,
  otherwise: string,
): Promise<unknown> {
  if (!(thrown instanceof AppError) || thrown.code !== 'VALUE_TOO_LARGE') return thrown;
  const { serverCode } = thrown;
  return new AppError(thrown.code, `${name} can't be made: ${thrown.message}`, {
    ...(await keyAt(target, plan, thrown.cause)),
    remedy: `Shorten the value on both sides, then \`resume\`; or ${otherwise}.`,
    ...(serverCode !== undefined && { serverCode }),
    cause: thrown,
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
