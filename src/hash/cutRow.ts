/**
 * Hashes a row that is cut by the end of one or more slots: a state machine that can stop after any byte.
 * Runs on the thread that hashes. Few rows come this way, so it is plain rather than quick; long values still go
 * through MD5 in one piece per slot.
 */
import { AppError } from '../errors.js';
import { MD5_HEX_BYTES, type Md5 } from './md5.js';
import { NUMERIC_FIELD_BYTES } from './numericText.js';
import { checkFieldCount, checkHashLength, type NumericRun, refuseLength, TREATMENT } from './rowFormat.js';

/** What the next bytes are. */
const PART = {
  /** Nothing: the row is complete. */
  NONE: 0,
  FIELD_COUNT: 1,
  LENGTH: 2,
  BODY: 3,
  NUMERIC_BODY: 4,
  HASH_LENGTH: 5,
  DIGITS: 6,
} as const;

/** The one row at hand that does not lie in one slot. */
export class CutRow {
  readonly #treatments: Int16Array;
  readonly #md5: Md5;
  readonly #numeric: NumericRun;
  /** Bytes collected of what must be whole to be read. */
  readonly #piece = new Uint8Array(NUMERIC_FIELD_BYTES);
  readonly #pieceView = new DataView(this.#piece.buffer);
  #part: (typeof PART)[keyof typeof PART] = PART.NONE;
  #field = 0;
  /** Bytes of the part that have come, and that it takes. */
  #have = 0;
  #want = 0;

  constructor(treatments: Int16Array, md5: Md5, numeric: NumericRun) {
    this.#treatments = treatments;
    this.#md5 = md5;
    this.#numeric = numeric;
  }

  /** True where no row is under way. */
  get atRowEnd(): boolean {
    return this.#part === PART.NONE;
  }

  /** Starts on the row at `position`. @returns as `resume`. */
  begin(view: DataView, position: number, end: number): number {
    this.#md5.init();
    this.#field = -1;
    this.#expect(PART.FIELD_COUNT, 2);
    return this.resume(view, position, end);
  }

  /** Goes on with the row's bytes from `position`. @returns the position after the row, or `end` where it goes on. */
  resume(view: DataView, position: number, end: number): number {
    let p = position;
    while (p < end && this.#part !== PART.NONE) {
      const taken = Math.min(this.#want - this.#have, end - p);
      if (this.#part === PART.BODY) {
        if (this.#treatments[this.#field] === TREATMENT.BYTES) this.#md5.update(view, p, taken);
      } else if (this.#part === PART.DIGITS) {
        for (let i = 0; i < taken; i++) view.setUint8(p + i, this.#piece[this.#have + i]!);
      } else {
        for (let i = 0; i < taken; i++) this.#piece[this.#have + i] = view.getUint8(p + i);
      }
      p += taken;
      this.#have += taken;
      if (this.#have === this.#want) this.#complete();
    }
    return p;
  }

  /** Acts on a part that has come whole, and says what follows it. */
  #complete(): void {
    switch (this.#part) {
      case PART.FIELD_COUNT:
        checkFieldCount(this.#pieceView.getInt16(0, false), this.#treatments.length);
        this.#nextField();
        break;
      case PART.LENGTH:
        this.#startField(this.#pieceView.getInt32(0, false));
        break;
      case PART.NUMERIC_BODY:
        this.#numeric.hash(this.#md5, this.#pieceView, 0, this.#want, this.#treatments[this.#field]!);
        this.#nextField();
        break;
      case PART.BODY:
        this.#nextField();
        break;
      case PART.HASH_LENGTH:
        checkHashLength(this.#pieceView.getInt32(0, false));
        this.#md5.finish(this.#pieceView, 0);
        this.#expect(PART.DIGITS, MD5_HEX_BYTES);
        break;
      default:
        this.#part = PART.NONE;
    }
  }

  #startField(bytes: number): void {
    const treatment = this.#treatments[this.#field]!;
    if (bytes < -1) refuseLength(bytes, this.#field);
    if (treatment >= TREATMENT.NUMERIC && bytes >= 0) {
      if (bytes > NUMERIC_FIELD_BYTES) {
        throw new AppError('INTERNAL', `field ${this.#field} of a tuple is a numeric of ${bytes} bytes`);
      }
      this.#expect(PART.NUMERIC_BODY, bytes);
    } else {
      if (treatment !== TREATMENT.SKIP) this.#md5.update(this.#pieceView, 0, 4);
      this.#expect(PART.BODY, Math.max(bytes, 0));
    }
  }

  #nextField(): void {
    this.#field++;
    this.#expect(this.#field < this.#treatments.length ? PART.LENGTH : PART.HASH_LENGTH, 4);
  }

  #expect(part: (typeof PART)[keyof typeof PART], bytes: number): void {
    this.#part = part;
    this.#have = 0;
    this.#want = bytes;
  }
}
