/**
 * One response: the engine's events as tokens, with the DONE that ends each statement and the flags that say
 * whether more follows. Runs on the server's thread, once a request.
 */
import { type EngineEvent, type ResultColumn, type ServerMessage, SqlError } from '../contract.js';
import { wireType, writeColMetadata } from './columns.js';
import type { PacketWriter } from './packets.js';
import { RowEncoder, type RowOptions } from './rows.js';
import { writeDone, writeEnvBytes, writeEnvText, writeMessage } from './tokens.js';
import { DONE, ENV, ProtocolViolation, TOKEN } from './wire.js';

/** What a response changes in the connection, and what it needs to know of it. */
export interface ConnectionState {
  database: string;
  /** Descriptor of the open transaction, zero for none. */
  transaction: bigint;
  nextDescriptor(): bigint;
}

const COMMAND_SELECT = 0xc1;
const EMPTY = Buffer.alloc(0);

export class Response {
  /** The error that ended the response, if any. */
  error: ServerMessage | undefined;
  private readonly out: PacketWriter;
  private readonly state: ConnectionState;
  private readonly rowOptions: RowOptions;
  private readonly doneToken: number;
  private rows: RowEncoder | undefined;
  private pending: { status: number; rowCount: number; command: number } | undefined;
  private statementFailed = false;

  /** `inProcedure`: statements end in DONEINPROC, and the caller writes the DONEPROC. */
  constructor(out: PacketWriter, state: ConnectionState, rowOptions: RowOptions, inProcedure: boolean) {
    this.out = out;
    this.state = state;
    this.rowOptions = rowOptions;
    this.doneToken = inProcedure ? TOKEN.doneInProc : TOKEN.done;
  }

  /** Writes what the engine's run produces until it ends or `signal` is aborted; never throws an engine's error. */
  async run(events: AsyncIterable<EngineEvent>, signal: AbortSignal): Promise<void> {
    const iterator = events[Symbol.asyncIterator]();
    let stop = () => {};
    const onAbort = (): void => stop();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const pulling = iterator.next();
        // Not Promise.race against one promise for all: that would keep every event until the response is over.
        const next = await new Promise<IteratorResult<EngineEvent> | 'aborted'>((resolve, reject) => {
          stop = () => resolve('aborted');
          pulling.then(resolve, reject);
        });
        if (next === 'aborted') {
          pulling.catch(() => {});
          break;
        }
        if (next.done === true) break;
        await this.event(next.value);
      }
    } catch (error) {
      if (error instanceof ProtocolViolation) throw error;
      if (!signal.aborted) this.fail(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
      // Tells the engine to stop, and waits until it has: its session is used by the next request.
      await iterator.return?.().catch(() => {});
    }
  }

  /** Writes an error; what was pending is told that more follows. */
  fail(error: unknown): void {
    this.flushPending(true);
    const info = serverMessage(error);
    this.error = info;
    writeMessage(this.out, info);
  }

  /** Ends a batch: the last statement's DONE without the MORE flag. */
  finish(): void {
    if (this.error !== undefined) {
      this.flushPending(true);
      writeDone(this.out, TOKEN.done, this.flags(DONE.error), 0, 0);
    } else if (this.pending !== undefined) this.flushPending(false);
    else writeDone(this.out, TOKEN.done, this.flags(DONE.final), 0, 0);
  }

  /** Flags of a DONE, with the bit that says a transaction is open. */
  flags(status: number): number {
    return this.state.transaction === 0n ? status : status | DONE.inTransaction;
  }

  /** Writes the DONE of the statement that ended last; `more` says something follows it. */
  flushPending(more: boolean): void {
    if (this.pending === undefined) return;
    const { status, rowCount, command } = this.pending;
    this.pending = undefined;
    writeDone(this.out, this.doneToken, this.flags(more ? status | DONE.more : status), rowCount, command);
  }

  private async event(event: EngineEvent): Promise<void> {
    switch (event.kind) {
      case 'copy':
        if (this.rows === undefined) throw new Error('rows without columns');
        for (const _piece of this.rows.push(event.bytes)) await this.out.drained();
        this.out.sendWholePackets();
        await this.out.drained();
        return;
      case 'encoded':
        await event.send(this.out);
        return;
      case 'columns':
        this.flushPending(true);
        this.columns(event.columns);
        return;
      case 'done': {
        this.flushPending(true);
        this.rows?.end();
        const count = event.rowCount;
        this.pending = {
          status: (count === undefined ? 0 : DONE.count) | (this.statementFailed ? DONE.error : 0),
          rowCount: count ?? 0,
          command: this.rows === undefined ? 0 : COMMAND_SELECT,
        };
        this.rows = undefined;
        this.statementFailed = false;
        return;
      }
      case 'info':
        this.flushPending(true);
        if (event.info.class > 10) this.statementFailed = true;
        writeMessage(this.out, event.info);
        return;
      case 'environment':
        this.flushPending(true);
        this.environment(event.change, event.value);
    }
  }

  private columns(columns: ResultColumn[]): void {
    const wires = columns.map((column) => wireType(column.type, column.nullable));
    const rows = new RowEncoder(columns, wires, this.out, this.rowOptions);
    writeColMetadata(this.out, columns, wires);
    this.rows = rows;
  }

  /** Writes an ENVCHANGE. The wire's transaction descriptors are this side's own. */
  environment(change: 'database' | 'begin' | 'commit' | 'rollback', value: string): void {
    const { out, state } = this;
    switch (change) {
      case 'database':
        writeEnvText(out, ENV.database, value, state.database);
        state.database = value;
        return;
      case 'begin': {
        state.transaction = state.nextDescriptor();
        writeEnvBytes(out, ENV.begin, descriptorBytes(state.transaction), EMPTY);
        return;
      }
      case 'commit':
      case 'rollback':
        writeEnvBytes(out, ENV[change], EMPTY, descriptorBytes(state.transaction));
        state.transaction = 0n;
    }
  }
}

function descriptorBytes(descriptor: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(descriptor);
  return bytes;
}

/** The message a client gets of an error; one that is not SQL Server's kind ends the connection (class 20). */
export function serverMessage(error: unknown): ServerMessage {
  if (error instanceof SqlError) return error.info;
  const text = error instanceof Error ? error.message : String(error);
  return { number: 3624, state: 1, class: 20, message: `The stand-in server failed: ${text}` };
}
