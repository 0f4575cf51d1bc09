/**
 * The bytes of a response that have arrived and are not yet used up. Reader thread.
 *
 * Message chunks are appended and parsed in place; what is left of an unfinished row moves to the front
 * when room runs out. One buffer for the life of a reader: nothing is allocated per packet or row.
 */

export class InputWindow {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Offset of the first byte not yet used. */
  position = 0;
  /** Offset after the last byte that has arrived. */
  fill = 0;

  constructor(sizeBytes: number) {
    this.bytes = Buffer.from(new ArrayBuffer(sizeBytes));
    this.view = new DataView(this.bytes.buffer);
  }

  /** Bytes that have arrived and are not yet used. */
  get available(): number {
    return this.fill - this.position;
  }

  /** True where the window can take no more: a row that still lacks bytes then is larger than the window. */
  get full(): boolean {
    return this.position === 0 && this.fill === this.bytes.length;
  }

  /**
   * Copies as much of `chunk` as there is room for.
   * @param from offset in the chunk to start at
   * @returns the offset in the chunk after the last byte taken
   */
  append(chunk: Buffer, from: number): number {
    let room = this.bytes.length - this.fill;
    if (room < chunk.length - from && this.position > 0) {
      this.bytes.copyWithin(0, this.position, this.fill);
      this.fill -= this.position;
      this.position = 0;
      room = this.bytes.length - this.fill;
    }
    const taken = Math.min(room, chunk.length - from);
    chunk.copy(this.bytes, this.fill, from, from + taken);
    this.fill += taken;
    return from + taken;
  }

  /** Forgets everything; between responses. */
  clear(): void {
    this.position = 0;
    this.fill = 0;
  }
}
