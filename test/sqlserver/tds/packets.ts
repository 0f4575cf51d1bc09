/**
 * Packet framing of [MS-TDS]: `PacketReader` joins a client's packets into messages, `PacketWriter` cuts the
 * server's token bytes into packets of the negotiated size. Runs on the server's thread, one pair a connection.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { HEADER_BYTES, PACKET, ProtocolViolation, STATUS } from './wire.js';

/** A whole message of the client's. */
export interface ClientMessage {
  type: number;
  /** Status bits of the message's packets, or-ed. */
  status: number;
  payload: Buffer;
}

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(PACKET));
/** What LOGIN7 can ask for; nothing larger is a packet. */
export const MAX_PACKET_BYTES = 32767;
/** A request larger than this is refused rather than gathered in memory. */
const MAX_MESSAGE_BYTES = 1 << 30;
/** Token bytes gathered before whole packets go to the socket. */
const FLUSH_BYTES = 64 * 1024;

/** Joins packets to messages; packets and their headers may be split anywhere in the stream. */
export class PacketReader {
  private readonly onMessage: (message: ClientMessage) => void;
  private rest: Buffer = Buffer.alloc(0);
  private parts: Buffer[] = [];
  private partsBytes = 0;
  private status = 0;
  private type = -1;

  constructor(onMessage: (message: ClientMessage) => void) {
    this.onMessage = onMessage;
  }

  /** Takes the next bytes of the stream; throws `ProtocolViolation` on a broken frame. */
  push(chunk: Buffer): void {
    let data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (data.length >= HEADER_BYTES) {
      const packetBytes = data.readUInt16BE(2);
      if (packetBytes < HEADER_BYTES || packetBytes > MAX_PACKET_BYTES || !KNOWN_TYPES.has(data[0]!)) {
        throw new ProtocolViolation(`packet of type ${data[0]} and ${packetBytes} bytes`);
      }
      if (data.length < packetBytes) break;
      const packet = data.subarray(0, packetBytes);
      data = data.subarray(packetBytes);
      // What is left must be visible as `rest` while a message is handled: its handler may take it over.
      this.rest = data;
      this.packet(packet);
      data = this.rest;
    }
    this.rest = data;
  }

  /** Takes away the bytes behind the last whole packet, for another reader. */
  takeRest(): Buffer {
    const rest = this.rest;
    this.rest = Buffer.alloc(0);
    return rest;
  }

  private packet(packet: Buffer): void {
    const type = packet[0]!;
    const status = packet[1]!;
    if (this.type === -1) this.type = type;
    if (type !== this.type)
      throw new ProtocolViolation(`packet type ${type} inside a message of type ${this.type}`);
    this.status |= status;
    this.parts.push(packet.subarray(HEADER_BYTES));
    this.partsBytes += packet.length - HEADER_BYTES;
    if (this.partsBytes > MAX_MESSAGE_BYTES) throw new ProtocolViolation('message over 1 GiB');
    if ((status & STATUS.endOfMessage) === 0) return;
    const message = { type, status: this.status, payload: Buffer.concat(this.parts) };
    this.parts = [];
    this.partsBytes = 0;
    this.status = 0;
    this.type = -1;
    this.onMessage(message);
  }
}

/**
 * Gathers the tokens of one response and sends them as packets. Encoders call `ensure(n)` and then write at
 * `buffer[position]` themselves; `buffer` may change at every `ensure`.
 */
export class PacketWriter {
  buffer: Buffer = Buffer.allocUnsafeSlow(FLUSH_BYTES * 2);
  position = 0;
  /** Whole packet size in bytes, header included. */
  packetSize = 4096;
  private stream: Duplex;
  private readonly spid: number;
  private packetId = 0;
  private blocked = false;

  constructor(stream: Duplex, spid: number) {
    this.stream = stream;
    this.spid = spid;
  }

  /** Sends what follows over another stream (TLS began or ended). */
  attach(stream: Duplex): void {
    this.stream = stream;
    this.blocked = false;
  }

  /** Makes room for `bytes` more bytes at `position`. */
  ensure(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  u8(value: number): void {
    this.ensure(1);
    this.buffer[this.position++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    this.position = this.buffer.writeUInt16LE(value, this.position);
  }

  u32(value: number): void {
    this.ensure(4);
    this.position = this.buffer.writeUInt32LE(value >>> 0, this.position);
  }

  i32(value: number): void {
    this.u32(value);
  }

  u64(value: bigint): void {
    this.ensure(8);
    this.position = this.buffer.writeBigUInt64LE(value, this.position);
  }

  bytes(source: Uint8Array): void {
    this.ensure(source.length);
    this.buffer.set(source, this.position);
    this.position += source.length;
  }

  private utf16(value: string): void {
    this.ensure(value.length * 2);
    this.position += this.buffer.write(value, this.position, 'utf16le');
  }

  /** B_VARCHAR: length in characters as one byte; longer text is cut, as names and messages are in SQL Server. */
  bVarChar(value: string): void {
    const text = value.slice(0, 255);
    this.u8(text.length);
    this.utf16(text);
  }

  /** US_VARCHAR: length in characters as two bytes. */
  usVarChar(value: string): void {
    const text = value.slice(0, 0xffff);
    this.u16(text.length);
    this.utf16(text);
  }

  /** Sends whole packets if enough is gathered; the message stays open. */
  flushIfLarge(): void {
    if (this.position >= FLUSH_BYTES) this.sendWholePackets();
  }

  /** Sends every whole packet gathered so far, so that a slow query's first rows do not wait for its last. */
  sendWholePackets(): void {
    const bodyBytes = this.packetSize - HEADER_BYTES;
    // The last packet of a message carries the end bit, so at least one byte stays behind for it.
    const packets = Math.floor((this.position - 1) / bodyBytes);
    if (packets <= 0) return;
    const out = Buffer.allocUnsafeSlow(packets * this.packetSize);
    for (let index = 0; index < packets; index++) {
      const at = index * this.packetSize;
      this.header(out, at, this.packetSize, 0);
      this.buffer.copy(out, at + HEADER_BYTES, index * bodyBytes, (index + 1) * bodyBytes);
    }
    this.buffer.copyWithin(0, packets * bodyBytes, this.position);
    this.position -= packets * bodyBytes;
    this.send(out);
  }

  /**
   * Sends packets that are framed already, behind everything gathered so far; the message stays open.
   * @returns resolves when the socket holds nothing of them any more
   */
  framed(packets: Buffer): Promise<void> {
    this.sendWholePackets();
    if (this.position > 0) {
      const rest = Buffer.allocUnsafe(HEADER_BYTES + this.position);
      this.header(rest, 0, rest.length, 0);
      this.buffer.copy(rest, HEADER_BYTES, 0, this.position);
      this.position = 0;
      this.send(rest);
    }
    return new Promise((resolve, reject) => {
      const gone = () => reject(new ProtocolViolation('connection closed'));
      if (this.stream.destroyed) gone();
      else this.stream.write(packets, (error) => (error ? gone() : resolve()));
    });
  }

  /** Sends the rest with the end bit set. */
  end(type: number = PACKET.response): void {
    this.sendWholePackets();
    const out = Buffer.allocUnsafe(HEADER_BYTES + this.position);
    this.header(out, 0, out.length, STATUS.endOfMessage, type);
    this.buffer.copy(out, HEADER_BYTES, 0, this.position);
    this.position = 0;
    this.packetId = 0;
    this.send(out);
    if (this.buffer.length > FLUSH_BYTES * 16) this.buffer = Buffer.allocUnsafeSlow(FLUSH_BYTES * 2);
  }

  /** Resolves when the client has taken enough of what was sent; rejects when the connection is gone. */
  async drained(): Promise<void> {
    if (this.stream.destroyed) throw new ProtocolViolation('connection closed');
    if (!this.blocked) return;
    const stream = this.stream;
    const stop = new AbortController();
    const closed = once(stream, 'close', { signal: stop.signal }).then(() => {
      throw new ProtocolViolation('connection closed');
    });
    try {
      await Promise.race([once(stream, 'drain', { signal: stop.signal }), closed]);
    } finally {
      stop.abort();
      closed.catch(() => {});
    }
    this.blocked = false;
  }

  /** Ends the stream once everything sent has left. */
  endStream(): void {
    this.stream.end();
  }

  /** Drops the stream; whoever waits in `drained` is told. */
  destroyStream(): void {
    this.stream.destroy();
  }

  private send(bytes: Buffer): void {
    if (this.stream.destroyed) return;
    this.blocked = !this.stream.write(bytes);
  }

  private header(
    out: Buffer,
    at: number,
    bytes: number,
    status: number,
    type: number = PACKET.response,
  ): void {
    this.packetId = (this.packetId + 1) & 0xff;
    out[at] = type;
    out[at + 1] = status;
    out.writeUInt16BE(bytes, at + 2);
    out.writeUInt16BE(this.spid, at + 4);
    out[at + 6] = this.packetId;
    out[at + 7] = 0;
  }
}
