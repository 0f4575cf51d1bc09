/**
 * One client's connection from its first byte to its last: PRELOGIN, TLS, LOGIN7, then requests one after the
 * other, with attention out of turn. Runs on the server's thread.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { type Engine, SqlError } from '../contract.js';
import { collationOf, DEFAULT_COLLATION } from './collations.js';
import { type Login, readLogin } from './login.js';
import { type ClientMessage, MAX_PACKET_BYTES, PacketReader, PacketWriter } from './packets.js';
import { answerPrelogin, type EncryptionMode, type TlsScope } from './prelogin.js';
import { serverMessage } from './response.js';
import { Session } from './session.js';
import { HandshakeBridge } from './tls.js';
import {
  writeDone,
  writeEnvBytes,
  writeEnvText,
  writeLoginAck,
  writeMessage,
  writeRouting,
  writeUtf8FeatureAck,
} from './tokens.js';
import { DONE, ENV, PACKET, ProtocolViolation, TDS_VERSION, TOKEN } from './wire.js';

export interface ConnectionOptions {
  engine: Engine;
  encryption: EncryptionMode;
  secureContext: SecureContext | undefined;
  /** See `PlpOptions`. */
  plpUnknownLength: boolean;
  plpChunkBytes: number;
  /** Send NBCROW to clients that know it. */
  nbcRow: boolean;
  /** A secondary of an availability group that lets in only those who will read. */
  readIntentOnly: boolean;
  /** Where those who will read are sent on to. */
  readersAt: { host: string; port: number } | null;
}

const DEFAULT_PACKET_BYTES = 4096;
const MIN_PACKET_BYTES = 512;
/** A packet has to fit a TLS record: SQL Server hangs up on the first request of a client that asked for more. */
const MAX_ENCRYPTED_PACKET_BYTES = 16_383;
const TLS_RECORD_HANDSHAKE = 0x16;

export class Connection {
  private readonly socket: Socket;
  private readonly options: ConnectionOptions;
  private readonly reader: PacketReader;
  private readonly out: PacketWriter;
  private bridge: HandshakeBridge | undefined;
  private phase: 'first' | 'prelogin' | 'login' | 'ready' = 'first';
  private tlsScope: TlsScope = 'none';
  private insideTls = false;
  private session: Session | undefined;
  private readonly queue: ClientMessage[] = [];
  private working = false;
  private running: AbortController | undefined;
  private attentions = 0;
  private closed = false;

  constructor(socket: Socket, options: ConnectionOptions, spid: number) {
    this.socket = socket;
    this.options = options;
    this.out = new PacketWriter(socket, spid);
    this.reader = new PacketReader((message) => this.message(message));
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.guard(() => this.bytes(chunk)));
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  /** Ends the connection and what runs on it. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.running?.abort();
    this.out.destroyStream();
    this.bridge?.destroy();
    this.socket.destroy();
    // A running request's session is closed by `work` when the engine has let go of it.
    if (!this.working) this.closeSession();
  }

  private closeSession(): void {
    this.session?.close().catch(() => {});
    this.session = undefined;
  }

  /** Runs a handler; a protocol violation closes the connection, as SQL Server does. */
  private guard(handler: () => void): void {
    try {
      handler();
    } catch (error) {
      if (!(error instanceof ProtocolViolation) && !(error instanceof RangeError)) throw error;
      this.close();
    }
  }

  private bytes(chunk: Buffer): void {
    if (this.phase === 'first') {
      this.phase = 'prelogin';
      if (chunk[0] === TLS_RECORD_HANDSHAKE) {
        this.strictTls(chunk);
        return;
      }
    }
    if (this.bridge !== undefined) this.bridge.feed(chunk);
    else this.reader.push(chunk);
  }

  /** TDS 8: TLS comes before everything. */
  private strictTls(chunk: Buffer): void {
    const { secureContext } = this.options;
    if (secureContext === undefined) throw new ProtocolViolation('TLS without a certificate');
    this.insideTls = true;
    this.socket.removeAllListeners('data');
    this.socket.pause();
    this.socket.unshift(chunk);
    this.listen(new TLSSocket(this.socket, { isServer: true, secureContext, ALPNProtocols: ['tds/8.0'] }));
  }

  private startTls(): void {
    const bridge = new HandshakeBridge(this.socket);
    bridge.on('error', () => this.close());
    this.bridge = bridge;
    const rest = this.reader.takeRest();
    const { secureContext } = this.options;
    this.listen(new TLSSocket(bridge, { isServer: true, secureContext: secureContext! }));
    if (rest.length > 0) bridge.feed(rest);
  }

  private listen(tls: TLSSocket): void {
    tls.on('data', (chunk: Buffer) => this.guard(() => this.record(chunk)));
    tls.on('error', () => this.close());
    tls.on('close', () => {
      if (this.tlsScope !== 'none' || this.insideTls) this.close();
    });
    this.out.attach(tls as Duplex);
  }

  /** SQL Server hangs up on a client whose TLS record holds more than a packet. */
  private record(contents: Buffer): void {
    if (this.phase === 'ready' && contents.length > this.out.packetSize) {
      throw new ProtocolViolation(`a TLS record of ${contents.length} bytes`);
    }
    this.reader.push(contents);
  }

  /** After a login-only TLS: the rest of the conversation is in the clear. */
  private leaveTls(): void {
    this.tlsScope = 'none';
    this.bridge = undefined;
    this.out.attach(this.socket);
  }

  private message(message: ClientMessage): void {
    if (message.type === PACKET.attention) {
      this.attention();
      return;
    }
    if (this.phase === 'prelogin' && message.type === PACKET.prelogin) {
      this.prelogin(message.payload);
      return;
    }
    if (message.type === PACKET.login7 && this.phase === 'login') this.phase = 'ready';
    else if (message.type === PACKET.login7 || this.phase !== 'ready') {
      throw new ProtocolViolation(`packet type ${message.type} before login`);
    }
    this.queue.push(message);
    if (!this.working) void this.work();
  }

  private prelogin(payload: Buffer): void {
    const answer = answerPrelogin(payload, this.options.encryption, this.insideTls);
    this.phase = 'login';
    this.tlsScope = answer.tls;
    this.out.bytes(answer.payload);
    this.out.end();
    if (answer.tls === 'refused') this.endSocket();
    else if (answer.tls !== 'none') this.startTls();
  }

  private attention(): void {
    if (this.phase !== 'ready' || this.session === undefined)
      throw new ProtocolViolation('attention before login');
    if (this.running === undefined) this.acknowledgeAttention();
    else {
      // The response in progress ends first; the acknowledgement is a message of its own behind it.
      this.attentions += 1;
      this.running.abort();
    }
  }

  private acknowledgeAttention(): void {
    writeDone(this.out, TOKEN.done, DONE.attention, 0, 0);
    this.out.end();
  }

  private async work(): Promise<void> {
    this.working = true;
    try {
      for (let message = this.queue.shift(); message !== undefined; message = this.queue.shift()) {
        const goesOn =
          message.type === PACKET.login7 ? await this.login(message.payload) : await this.request(message);
        if (this.closed) break;
        this.out.end();
        for (; this.attentions > 0; this.attentions--) this.acknowledgeAttention();
        if (!goesOn) {
          this.endSocket();
          break;
        }
        await this.out.drained();
      }
    } catch {
      // A violation, or the client is gone; either way there is nobody to tell.
      this.close();
    } finally {
      this.working = false;
      if (this.closed) this.closeSession();
    }
  }

  /** Closes after what was sent has left. */
  private endSocket(): void {
    this.queue.length = 0;
    this.out.endStream();
  }

  private async request(message: ClientMessage): Promise<boolean> {
    const running = new AbortController();
    this.running = running;
    try {
      return await this.session!.request(message, running.signal);
    } finally {
      this.running = undefined;
    }
  }

  private async login(payload: Buffer): Promise<boolean> {
    if (this.tlsScope === 'login') this.leaveTls();
    try {
      const login = readLogin(payload);
      const { engine, plpUnknownLength, plpChunkBytes, nbcRow, readIntentOnly, readersAt } = this.options;
      if (readIntentOnly && !login.readOnlyIntent) {
        throw new SqlError(
          978,
          `The target database ('${login.database}') is in an availability group and is currently accessible for connections when the application intent is set to read only. For more information about application intent, see SQL Server Books Online.`,
          { class: 14 },
        );
      }
      const engineSession = await engine.login(login.user, login.password, login.database);
      this.session = new Session(engine, engineSession, login, this.out, {
        unknownLength: plpUnknownLength,
        chunkBytes: plpChunkBytes,
        nbcRow: nbcRow && login.tdsVersion !== TDS_VERSION.v73A,
      });
      this.welcome(login, engineSession.database, login.readOnlyIntent ? readersAt : null);
      return true;
    } catch (error) {
      if (error instanceof ProtocolViolation) throw error;
      writeMessage(this.out, serverMessage(error));
      writeDone(this.out, TOKEN.done, DONE.error, 0, 0);
      return false;
    }
  }

  private welcome(login: Login, database: string, goOnTo: ConnectionOptions['readersAt']): void {
    const { out } = this;
    const wished = login.packetSize === 0 ? DEFAULT_PACKET_BYTES : login.packetSize;
    const packetSize = Math.min(Math.max(wished, MIN_PACKET_BYTES), MAX_PACKET_BYTES);
    if (packetSize > MAX_ENCRYPTED_PACKET_BYTES && (this.insideTls || this.tlsScope === 'all')) {
      throw new ProtocolViolation(`encrypted packets of ${packetSize} bytes`);
    }
    writeEnvText(out, ENV.database, database, 'master');
    writeMessage(out, info(5701, 2, `Changed database context to '${database}'.`));
    writeEnvBytes(out, ENV.collation, collationOf(DEFAULT_COLLATION).bytes, Buffer.alloc(0));
    writeEnvText(out, ENV.language, 'us_english', '');
    writeMessage(out, info(5703, 1, 'Changed language setting to us_english.'));
    writeLoginAck(out, login.tdsVersion);
    writeEnvText(out, ENV.packetSize, String(packetSize), String(DEFAULT_PACKET_BYTES));
    if (goOnTo !== null) writeRouting(out, goOnTo);
    if (login.wantsUtf8) writeUtf8FeatureAck(out);
    writeDone(out, TOKEN.done, DONE.final, 0, 0);
    // The answer still goes out at the old size; it is cut into packets here, before the new size counts.
    out.sendWholePackets();
    out.packetSize = packetSize;
  }
}

function info(number: number, state: number, message: string): Parameters<typeof writeMessage>[1] {
  return { number, state, class: 0, message };
}
