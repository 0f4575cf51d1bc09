/**
 * The bytes of a response that have arrived and are not yet used up. Reader thread.
 *
 * They are parsed in place; what is left of an unfinished row moves to the front when room runs out. One stretch of
 * memory for the life of a reader: nothing is allocated per packet or row. As much again lies behind it, where pieces
 * of a value are put together.
 */
import { copyBytes } from '../wasm/memory.js';

export class InputWindow {
  /** The memory the window lies in; offsets count from its start. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The most bytes it takes. */
  readonly sizeBytes: number;
  /** Offset of `sizeBytes` that anybody may write for the time of a call. */
  readonly scratch: number;
  /** Offset of the first byte not yet used. */
  position: number;
  /** Offset after the last byte that has arrived. */
  fill: number;
  readonly #from: number;

  /** @param place memory to lie in, with room for twice `sizeBytes` from `from`; left out, it has memory of its own */
  constructor(sizeBytes: number, place?: { bytes: Buffer; from: number }) {
    const { bytes, from } = place ?? { bytes: Buffer.from(new ArrayBuffer(2 * sizeBytes)), from: 0 };
    this.sizeBytes = sizeBytes;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.scratch = from + sizeBytes;
    this.#from = from;
    this.position = from;
    this.fill = from;
  }

  /** Bytes that have arrived and are not yet used. */
  get available(): number {
    return this.fill - this.position;
  }

  /** True where the window can take no more: a row that still lacks bytes then is larger than the window. */
  get full(): boolean {
    return this.position === this.#from && this.fill === this.scratch;
  }

  /**
   * Copies as much of `chunk` as there is room for.
   * @param from offset in the chunk to start at
   * @returns the offset in the chunk after the last byte taken
   */
  append(chunk: Buffer, from: number): number {
    const room = this.makeRoom(chunk.length - from);
    const taken = Math.min(room, chunk.length - from);
    copyBytes(chunk, from, from + taken, this.bytes, this.fill);
    this.fill += taken;
    return from + taken;
  }

  /** Moves what is left to the front where `wanted` bytes do not fit behind it. @returns the bytes that fit then */
  makeRoom(wanted: number): number {
    if (this.scratch - this.fill < wanted && this.position > this.#from) {
      this.bytes.copyWithin(this.#from, this.position, this.fill);
      this.fill -= this.position - this.#from;
      this.position = this.#from;
    }
    return this.scratch - this.fill;
  }

  /** Forgets everything; between responses. */
  clear(): void {
    this.position = this.#from;
    this.fill = this.#from;
  }
}
