/**
 * Whether the texts of floating point numbers can stand for them on this server: asked with numbers of all digits.
 *
 * Runs on the main thread. CONVERT prints all digits (style 3) since SQL Server 2016, and took the style for that of six
 * digits before; how well it reads 17 digits is nowhere said.
 */
import { AppError } from '../errors.js';
import type { SourceConnection } from './connection.js';

const SAMPLES = 128;
/** Powers of two around which the samples lie: about 1E-19 to 1E+19. */
const EXPONENTS = 64n;

/** @returns whether it reads our texts, and its own, as the very numbers they were made of */
export async function readsFloatsExactly(source: Pick<SourceConnection, 'query'>): Promise<boolean> {
  const bits = (expression: string): string => `CONVERT(binary(8), CONVERT(float, ${expression}))`;
  const ours = bits('s.t');
  const its = bits('CONVERT(nvarchar(40), CONVERT(float, s.t), 3)');
  try {
    const [row] = await source.query(
      `SELECT CONVERT(int, COUNT(*)) AS wrong FROM (VALUES ${samples().join(', ')}) AS s(t, b) ` +
        `WHERE ${ours} <> s.b OR ${its} <> s.b`,
    );
    return Number(row?.wrong) === 0;
  } catch (error) {
    if (error instanceof AppError && error.code === 'SOURCE_QUERY') return false;
    throw error;
  }
}

/** Numbers of random digits, the same each time: as text and as the bytes of SQL Server's binary form. */
function samples(): string[] {
  const value = Buffer.alloc(8);
  let state = 1n;
  return Array.from({ length: SAMPLES }, (_, i) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    const exponent = 1023n - EXPONENTS + BigInt(i % Number(2n * EXPONENTS));
    value.writeBigUInt64BE((exponent << 52n) | (state >> 12n));
    return `(N'${value.readDoubleBE().toExponential(16)}', 0x${value.toString('hex').toUpperCase()})`;
  });
}
