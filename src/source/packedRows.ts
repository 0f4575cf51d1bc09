/**
 * Results of one binary column, of one length: their values lie one behind the other in a buffer. For answers of so
 * many rows that a driver's object for each would cost more than the server's work. Main thread.
 */
import { AppError } from '../errors.js';
import { bulkRead, type ResponseSink } from '../tds/bulkRead.js';
import { readToken, type ServerMessageToken } from '../tds/tokenReader.js';
import { TOKEN, TYPE } from '../tds/tokens.js';
import type { SourceConnection } from './connection.js';

/** [MS-TDS] USHORTLEN_TYPE: the length in front of a value, and how NULL is written there. */
const LENGTH_BYTES = 2;
const NULL_LENGTH = 0xffff;
const NOTHING = Buffer.alloc(0);
const FIRST_BYTES = 64 * 1024;

/**
 * Runs a statement on an idle connection.
 *
 * @param parameters nvarchar parameters by name
 * @param scanned rows that the source has to go through before it can answer, about
 * @returns the rows' values, of `rowBytes` each
 * @throws AppError as `sourceError` names it, PROTOCOL where the rows are not as long as said
 */
export async function readPackedRows(
  source: SourceConnection,
  sql: string,
  parameters: readonly { name: string; value: string }[],
  rowBytes: number,
  scanned: number,
): Promise<Buffer> {
  const rows = new PackedRows(rowBytes);
  const answer = source.answer(scanned);
  try {
    await answer.wait(bulkRead(source.connection, sql, parameters, rows));
  } catch (error) {
    throw answer.error(error);
  }
  return rows.values;
}

/** Takes the response; see `ResponseSink`. */
export class PackedRows implements ResponseSink {
  onMessage: ((token: ServerMessageToken) => void) | null = null;
  readonly #rowBytes: number;
  #values = NOTHING;
  #used = 0;
  /** The beginning of a token whose end has not come yet. */
  #rest = NOTHING;
  /** The server has sent an ERROR: the request ends with it. */
  #failed = false;
  #done = false;

  constructor(rowBytes: number) {
    this.#rowBytes = rowBytes;
  }

  get values(): Buffer {
    return this.#values.subarray(0, this.#used);
  }

  push(chunk: Buffer): undefined {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const next = this.#take(bytes, at);
      if (next === null) break;
      at = next;
    }
    // The chunk's memory is used again.
    this.#rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  end(): void {
    if (this.#rest.length > 0 || !this.#done) {
      throw new AppError('PROTOCOL', 'The answer of SQL Server ended in the middle of a token');
    }
  }

  /** Takes the token at `at`. @returns where the next begins, or null where it is not all there */
  #take(bytes: Buffer, at: number): number | null {
    const type = bytes[at];
    if (type === TOKEN.ROW) return this.#row(bytes, at + 1);
    if (type === TOKEN.NBCROW) {
      if (at + 1 >= bytes.length) return null;
      if (bytes[at + 1] !== 0) throw notPacked('a value is NULL');
      return this.#row(bytes, at + 2);
    }
    const token = readToken(bytes, at, bytes.length);
    if (token === null) return null;
    if (token.kind === 'columns') {
      const [column] = token.columns;
      const isBinary = column?.type === TYPE.BIGBINARY || column?.type === TYPE.BIGVARBIN;
      if (token.columns.length !== 1 || !isBinary) throw notPacked('it is not one binary column');
    } else if (token.kind === 'done') {
      if (token.failed && !this.#failed) {
        throw new AppError('SOURCE_QUERY', 'SQL Server ended the query as failed without saying why');
      }
      this.#done = !token.more;
    } else if (token.kind !== 'skipped') {
      this.#failed ||= token.kind === 'error';
      this.onMessage?.(token);
    }
    return token.end;
  }

  #row(bytes: Buffer, at: number): number | null {
    if (at + LENGTH_BYTES > bytes.length) return null;
    const length = bytes.readUInt16LE(at);
    if (length !== this.#rowBytes) {
      throw notPacked(length === NULL_LENGTH ? 'a value is NULL' : `a value has ${length} bytes`);
    }
    const from = at + LENGTH_BYTES;
    if (from + length > bytes.length) return null;
    this.#reserve(length);
    bytes.copy(this.#values, this.#used, from, from + length);
    this.#used += length;
    return from + length;
  }

  #reserve(more: number): void {
    if (this.#used + more <= this.#values.length) return;
    const larger = Buffer.alloc(Math.max(FIRST_BYTES, 2 * this.#values.length));
    this.#values.copy(larger, 0, 0, this.#used);
    this.#values = larger;
  }
}

function notPacked(what: string): AppError {
  return new AppError('PROTOCOL', `SQL Server's answer is not of packed rows: ${what}`);
}
