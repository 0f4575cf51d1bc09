/**
 * What SQL Server would answer a comparison that lets it hash: computed before anybody asks, so that the answers
 * cost nothing while time is taken.
 *
 * Runs in the process of the replay source. The bytes under a row's hash come from the stand-in's own evaluation of
 * the statement's expression over the recorded rows; only the Id in them is changed.
 */
import { createHash } from 'node:crypto';
import type { EngineSession } from '../../test/sqlserver/contract.js';
import { splitTuples } from '../tuples.js';

const MD5_BYTES = 16;
/** `00 00 00 04`, then the Id, big-endian: how the canonical form of a row begins. */
const ID_AT = 4;

export interface Totals {
  rows: bigint;
  first: bigint;
  second: bigint;
}

export class Digests {
  /** MD5 of each row, one behind the other. */
  readonly #hashes: Buffer;
  /** Sums of the first and second words over all rows before each; one more for all. */
  readonly #first: BigUint64Array;
  readonly #second: BigUint64Array;

  private constructor(hashes: Buffer, rows: number) {
    this.#hashes = hashes;
    this.#first = new BigUint64Array(rows + 1);
    this.#second = new BigUint64Array(rows + 1);
    for (let row = 0; row < rows; row++) {
      const at = row * MD5_BYTES;
      this.#first[row + 1] = this.#first[row]! + BigInt(hashes.readUInt32BE(at));
      this.#second[row + 1] = this.#second[row]! + BigInt(hashes.readUInt32BE(at + 4));
    }
  }

  /** @param expression T-SQL of the canonical bytes, over the table `from` aliased t */
  static async compute(
    session: EngineSession,
    from: string,
    expression: string,
    rows: number,
  ): Promise<Digests> {
    const copy: Buffer[] = [];
    const sql = `SELECT ${expression} AS c FROM ${from} ORDER BY t.[Id]`;
    for await (const event of session.execute(sql, [], new AbortController().signal)) {
      if (event.kind === 'copy') copy.push(Buffer.from(event.bytes));
    }
    // A tuple of one field: its count and its length come first.
    const canonical = splitTuples(Buffer.concat(copy)).tuples.map((tuple) => tuple.subarray(6));
    const hashes = Buffer.alloc(rows * MD5_BYTES);
    for (let row = 0; row < rows; row++) {
      const bytes = canonical[row % canonical.length]!;
      bytes.writeInt32BE(row + 1, ID_AT);
      createHash('md5')
        .update(bytes)
        .digest()
        .copy(hashes, row * MD5_BYTES);
    }
    return new Digests(hashes, rows);
  }

  /** Sums over the Ids above `from` up to `to`. */
  totals(from: number, to: number): Totals {
    return {
      rows: BigInt(to - from),
      first: this.#first[to]! - this.#first[from]!,
      second: this.#second[to]! - this.#second[from]!,
    };
  }

  /**
   * Writes the totals of the Ids above `from` up to `to` as the statement gives them: group, rows, both sums and, where
   * asked for, both sums of words times `Id % size`.
   *
   * @returns the offset behind them
   */
  writeGroup(bytes: Buffer, at: number, from: number, to: number, size: number, placed: boolean): number {
    const group = Math.floor((from + 1) / size);
    let first = 0;
    let second = 0;
    let firstPlaced = 0;
    let secondPlaced = 0;
    for (let row = from; row < to; row++) {
      const word = this.#hashes.readUInt32BE(row * MD5_BYTES);
      const other = this.#hashes.readUInt32BE(row * MD5_BYTES + 4);
      const place = row + 1 - group * size;
      first += word;
      second += other;
      firstPlaced += word * place;
      secondPlaced += other * place;
    }
    let end = at;
    const numbers = [group, to - from, first, second, ...(placed ? [firstPlaced, secondPlaced] : [])];
    for (const number of numbers) {
      if (!Number.isSafeInteger(number)) throw new Error(`totals of groups of ${size} keys are not exact`);
      end = bytes.writeUInt32BE(Math.floor(number / 2 ** 32), end);
      end = bytes.writeUInt32BE(number >>> 0, end);
    }
    return end;
  }

  /** Writes the hash of an Id's row to `bytes`. */
  copyTo(bytes: Buffer, at: number, id: number): void {
    this.#hashes.copy(bytes, at, (id - 1) * MD5_BYTES, id * MD5_BYTES);
  }

  /** Id, hash of the key and hash of the row for the Ids above `from` up to `to`, ordered by the key's hash. */
  ordered(from: number, to: number): [string, string, string][] {
    const found: [string, string, string][] = [];
    const key = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]);
    for (let id = from + 1; id <= to; id++) {
      key.writeInt32BE(id, ID_AT);
      const at = (id - 1) * MD5_BYTES;
      const digest = this.#hashes.toString('hex', at, at + MD5_BYTES);
      found.push([String(id), createHash('md5').update(key).digest('hex'), digest]);
    }
    return found.sort((a, b) => (a[1] < b[1] ? -1 : 1));
  }
}
