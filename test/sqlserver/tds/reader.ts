/**
 * Reads little-endian values off a request's bytes; running off the end is a protocol violation. Runs on the
 * server's thread.
 */
import { ProtocolViolation } from './wire.js';

export class ByteReader {
  private readonly source: Buffer;
  private position = 0;

  constructor(source: Buffer) {
    this.source = source;
  }

  get left(): number {
    return this.source.length - this.position;
  }

  peek(): number | undefined {
    return this.source[this.position];
  }

  bytes(count: number): Buffer {
    if (count < 0 || count > this.left) throw new ProtocolViolation('request shorter than it says');
    this.position += count;
    return this.source.subarray(this.position - count, this.position);
  }

  u8(): number {
    return this.bytes(1)[0]!;
  }

  u16(): number {
    return this.bytes(2).readUInt16LE();
  }

  u32(): number {
    return this.bytes(4).readUInt32LE();
  }

  i32(): number {
    return this.bytes(4).readInt32LE();
  }

  u64(): bigint {
    return this.bytes(8).readBigUInt64LE();
  }

  /** Text of `characters` UTF-16 code units. */
  utf16(characters: number): string {
    return this.bytes(characters * 2).toString('utf16le');
  }
}
