/**
 * TLS as TDS 7.x carries it: the handshake's records travel inside PRELOGIN packets, what follows travels bare.
 * `HandshakeBridge` is the transport a TLS socket sits on. Runs on the server's thread.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { HEADER_BYTES, PACKET, ProtocolViolation, STATUS } from './wire.js';

const HANDSHAKE_PACKET_BYTES = 4096;

export class HandshakeBridge extends Duplex {
  private readonly socket: Socket;
  private wrapped = true;
  private input: Buffer = Buffer.alloc(0);
  private output: Buffer[] = [];
  private outputDone: (() => void)[] = [];

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on('drain', () => this.emit('socket-drain'));
  }

  /** Takes bytes that arrived on the socket. */
  feed(chunk: Buffer): void {
    if (!this.wrapped) {
      this.push(chunk);
      return;
    }
    this.input = Buffer.concat([this.input, chunk]);
    while (this.wrapped && this.input.length > 0) {
      // The client's first bare TLS record ends the wrapping, in both directions.
      if (this.input[0] !== PACKET.prelogin) {
        this.wrapped = false;
        break;
      }
      if (this.input.length < HEADER_BYTES) return;
      const bytes = this.input.readUInt16BE(2);
      if (bytes < HEADER_BYTES) throw new ProtocolViolation(`packet of ${bytes} bytes`);
      if (this.input.length < bytes) return;
      this.push(this.input.subarray(HEADER_BYTES, bytes));
      this.input = this.input.subarray(bytes);
    }
    if (this.input.length > 0) this.push(this.input);
    this.input = Buffer.alloc(0);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.wrapped) {
      // A flight of the handshake is several writes but one message: send it when this turn is over.
      this.output.push(chunk);
      if (this.output.length === 1) setImmediate(() => this.sendFlight());
      done();
      return;
    }
    if (this.socket.write(chunk)) done();
    else this.waitForDrain(done);
  }

  override _final(done: () => void): void {
    this.socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const waiting of this.outputDone.splice(0)) waiting();
    done(error);
  }

  private waitForDrain(done: () => void): void {
    this.outputDone.push(done);
    if (this.outputDone.length > 1) return;
    const resume = () => {
      this.socket.off('close', resume);
      this.off('socket-drain', resume);
      for (const waiting of this.outputDone.splice(0)) waiting();
    };
    this.once('socket-drain', resume);
    this.socket.once('close', resume);
  }

  private sendFlight(): void {
    const data = Buffer.concat(this.output.splice(0));
    const bodyBytes = HANDSHAKE_PACKET_BYTES - HEADER_BYTES;
    for (let at = 0; at < data.length; at += bodyBytes) {
      const body = data.subarray(at, at + bodyBytes);
      const header = Buffer.alloc(HEADER_BYTES);
      header[0] = PACKET.prelogin;
      header[1] = at + bodyBytes >= data.length ? STATUS.endOfMessage : 0;
      header.writeUInt16BE(HEADER_BYTES + body.length, 2);
      this.socket.write(Buffer.concat([header, body]));
    }
  }
}
