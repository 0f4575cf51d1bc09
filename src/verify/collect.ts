/**
 * Takes keys and hashes out of binary COPY tuples: what a streamed comparison keeps of a row.
 *
 * Main thread. Values that are not part of the key pass by without being held, however large.
 */
import { AppError } from '../errors.js';

export interface CollectedRow {
  /** The key fields' contents in key order; null is NULL. */
  key: (Buffer | null)[];
  /** The tuple's last field, 32 hex digits. */
  hash: string;
}

/** Reads tuples piece by piece, in order; a piece may end anywhere. */
export class TupleCollector {
  /** Complete rows; whoever takes them leaves an empty array. */
  rows: CollectedRow[] = [];
  /** Position in the key by field, or -1; the hash comes last. */
  readonly #keyPositions: readonly number[];
  readonly #head = Buffer.alloc(4);
  #headBytes = 0;
  #headWanted = 2;
  /** The field at hand; -1 is the count of fields. */
  #field = -1;
  #bodyLeft = 0;
  #inBody = false;
  #kept: Buffer[] | null = null;
  #key: (Buffer | null)[] = [];

  /** @param keyPositions for each field in front of the hash its position in the key, or -1 */
  constructor(keyPositions: readonly number[]) {
    this.#keyPositions = keyPositions;
  }

  /** True between two rows. */
  get atRowEnd(): boolean {
    return this.#field < 0 && this.#headBytes === 0;
  }

  /** Takes the next piece; what is kept of it is copied. */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#inBody) {
        const taken = Math.min(this.#bodyLeft, piece.length - at);
        this.#kept?.push(Buffer.from(piece.subarray(at, at + taken)));
        at += taken;
        this.#bodyLeft -= taken;
        if (this.#bodyLeft === 0) this.#endField();
        continue;
      }
      this.#head[this.#headBytes++] = piece[at++]!;
      if (this.#headBytes === this.#headWanted) this.#headComplete();
    }
  }

  #headComplete(): void {
    this.#headBytes = 0;
    if (this.#field < 0) {
      const count = this.#head.readInt16BE(0);
      if (count !== this.#keyPositions.length + 1) {
        throw new AppError(
          'INTERNAL',
          `a tuple has ${count} fields where ${this.#keyPositions.length + 1} were asked for`,
        );
      }
      this.#key = this.#keyPositions.filter((position) => position >= 0).map(() => null);
      this.#startField(0);
      return;
    }
    const bytes = this.#head.readInt32BE(0);
    const isHash = this.#field === this.#keyPositions.length;
    this.#kept = bytes >= 0 && (isHash || this.#keyPositions[this.#field]! >= 0) ? [] : null;
    this.#bodyLeft = Math.max(0, bytes);
    this.#inBody = true;
    if (this.#bodyLeft === 0) this.#endField();
  }

  #endField(): void {
    const content = this.#kept === null ? null : Buffer.concat(this.#kept);
    if (this.#field === this.#keyPositions.length) {
      this.rows.push({ key: this.#key, hash: content?.toString('latin1') ?? '' });
      this.#startField(-1);
      return;
    }
    const position = this.#keyPositions[this.#field]!;
    if (position >= 0) this.#key[position] = content;
    this.#startField(this.#field + 1);
  }

  #startField(field: number): void {
    this.#field = field;
    this.#headWanted = field < 0 ? 2 : 4;
    this.#inBody = false;
    this.#kept = null;
  }
}
