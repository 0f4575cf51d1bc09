/**
 * A logged-in client's requests: SQL batches, RPC, transaction manager requests, bulk loads; each becomes one
 * response message. Runs on the server's thread, one a connection.
 */
import { type Engine, type EngineSession, SqlError } from '../contract.js';
import { BulkLoad, bulkTarget } from './bulk.js';
import { readAllHeaders, readTransactionRequest } from './headers.js';
import type { Login } from './login.js';
import type { ClientMessage, PacketWriter } from './packets.js';
import { type ConnectionState, Response } from './response.js';
import type { RowOptions } from './rows.js';
import { bindParameters, type RpcParameter, type RpcRequest, readRpc, type Statement } from './rpc.js';
import { writeDone, writeResetAck, writeReturnInt, writeReturnStatus } from './tokens.js';
import { DONE, PACKET, ProtocolViolation, STATUS, TOKEN } from './wire.js';

/** The first error class after which SQL Server closes the connection. */
const FATAL_CLASS = 20;
/** CurCmd of a DONEPROC. */
const COMMAND_EXECUTE = 0xe0;

let lastDescriptor = 0x35_0000_0000n;

interface Prepared {
  declaration: string;
  sql: string;
}

export class Session implements ConnectionState {
  database: string;
  transaction = 0n;
  private readonly engine: Engine;
  private readonly login: Login;
  private readonly out: PacketWriter;
  private readonly rowOptions: RowOptions;
  private engineSession: EngineSession;
  private readonly prepared = new Map<number, Prepared>();
  private lastHandle = 0;
  private bulk: BulkLoad | undefined;

  constructor(
    engine: Engine,
    session: EngineSession,
    login: Login,
    out: PacketWriter,
    rowOptions: RowOptions,
  ) {
    this.engine = engine;
    this.engineSession = session;
    this.login = login;
    this.out = out;
    this.rowOptions = rowOptions;
    this.database = session.database;
  }

  nextDescriptor(): bigint {
    lastDescriptor += 1n;
    return lastDescriptor;
  }

  async close(): Promise<void> {
    await this.engineSession.close();
  }

  /**
   * Answers one request with one message, up to but without its end.
   * @returns whether the connection goes on.
   */
  async request(message: ClientMessage, signal: AbortSignal): Promise<boolean> {
    const { out } = this;
    if ((message.status & STATUS.ignore) !== 0) {
      writeDone(out, TOKEN.done, DONE.error, 0, 0);
      return true;
    }
    const procedure = message.type === PACKET.rpc;
    const response = new Response(out, this, this.rowOptions, procedure);
    try {
      if ((message.status & (STATUS.resetConnection | STATUS.resetConnectionSkipTransaction)) !== 0) {
        await this.reset(message.status);
      }
      await this.dispatch(message, response, signal);
    } catch (error) {
      if (error instanceof ProtocolViolation) throw error;
      response.fail(error);
    }
    if (!procedure) response.finish();
    else if (response.error !== undefined) {
      writeReturnStatus(out, response.error.number);
      writeDone(out, TOKEN.doneProc, response.flags(DONE.error), 0, COMMAND_EXECUTE);
    } else {
      response.flushPending(true);
      writeReturnStatus(out, 0);
      writeDone(out, TOKEN.doneProc, response.flags(DONE.final), 0, COMMAND_EXECUTE);
    }
    return response.error === undefined || response.error.class < FATAL_CLASS;
  }

  private async dispatch(message: ClientMessage, response: Response, signal: AbortSignal): Promise<void> {
    if (message.type === PACKET.bulkLoad) {
      await this.bulkLoad(message.payload, response, signal);
      return;
    }
    const { descriptor, body } = readAllHeaders(message.payload);
    if (descriptor !== this.transaction) {
      throw new SqlError(
        3989,
        'New request is not allowed to start because it should come with valid transaction descriptor.',
      );
    }
    switch (message.type) {
      case PACKET.sqlBatch:
        if (body.length % 2 !== 0) throw new ProtocolViolation('SQL text of an odd number of bytes');
        await this.batch(body.toString('utf16le'), response, signal);
        return;
      case PACKET.rpc:
        await this.procedure(readRpc(body), response, signal);
        return;
      case PACKET.transactionManager:
        await this.transactionRequest(body, response, signal);
        return;
      default:
        throw new ProtocolViolation(`packet type ${message.type}`);
    }
  }

  private async batch(sql: string, response: Response, signal: AbortSignal): Promise<void> {
    const target = bulkTarget(sql);
    if (target !== undefined) this.bulk = new BulkLoad(target);
    else await response.run(this.engineSession.execute(sql, [], signal), signal);
  }

  private async bulkLoad(payload: Buffer, response: Response, signal: AbortSignal): Promise<void> {
    const bulk = this.bulk;
    this.bulk = undefined;
    if (bulk === undefined) throw new ProtocolViolation('bulk load without INSERT BULK');
    await response.run(bulk.run(payload, this.engineSession, signal), signal);
  }

  private async transactionRequest(body: Buffer, response: Response, signal: AbortSignal): Promise<void> {
    const { kind, sql } = readTransactionRequest(body);
    const before = this.transaction;
    await response.run(this.engineSession.execute(sql, [], signal), signal);
    if (response.error !== undefined || signal.aborted) return;
    // The engine reports the change itself, or leaves it to this side where nothing but the request did it.
    if (kind === 'begin' && this.transaction === 0n) response.environment('begin', '');
    if ((kind === 'commit' || kind === 'rollback') && before !== 0n && this.transaction === before) {
      response.environment(kind, '');
    }
  }

  private async procedure(request: RpcRequest, response: Response, signal: AbortSignal): Promise<void> {
    const { parameters } = request;
    switch (request.procedure) {
      case 'sp_executesql': {
        const { sql, declaration, values } = executeSqlArguments(parameters);
        await this.runStatement({ sql, parameters: bindParameters(declaration, values) }, response, signal);
        return;
      }
      case 'sp_prepare': {
        const prepared = prepareArguments(parameters);
        this.returnHandle(parameters[0]!, prepared);
        return;
      }
      case 'sp_prepexec': {
        const prepared = prepareArguments(parameters);
        const bound = bindParameters(prepared.declaration, parameters.slice(3));
        await this.runStatement({ sql: prepared.sql, parameters: bound }, response, signal);
        if (response.error !== undefined) return;
        response.flushPending(true);
        this.returnHandle(parameters[0]!, prepared);
        return;
      }
      case 'sp_execute': {
        const prepared = this.preparedOf(parameters[0]);
        const bound = bindParameters(prepared.declaration, parameters.slice(1));
        await this.runStatement({ sql: prepared.sql, parameters: bound }, response, signal);
        return;
      }
      case 'sp_unprepare':
        this.preparedOf(parameters[0]);
        this.prepared.delete(Number(parameters[0]!.text));
        return;
      default:
        throw new SqlError(2812, `Could not find stored procedure '${request.procedure}'.`, { state: 62 });
    }
  }

  private async runStatement(statement: Statement, response: Response, signal: AbortSignal): Promise<void> {
    await response.run(this.engineSession.execute(statement.sql, statement.parameters, signal), signal);
  }

  private returnHandle(parameter: RpcParameter, prepared: Prepared): void {
    this.lastHandle += 1;
    this.prepared.set(this.lastHandle, prepared);
    writeReturnInt(this.out, 0, parameter.name, this.lastHandle);
  }

  private preparedOf(parameter: RpcParameter | undefined): Prepared {
    const prepared = this.prepared.get(Number(parameter?.text ?? Number.NaN));
    if (prepared === undefined) {
      throw new SqlError(8179, `Could not find prepared statement with handle ${parameter?.text ?? 'NULL'}.`);
    }
    return prepared;
  }

  /** RESETCONNECTION: a fresh engine session; an open transaction is rolled back with the old one. */
  private async reset(status: number): Promise<void> {
    if ((status & STATUS.resetConnectionSkipTransaction) !== 0 && this.transaction !== 0n) {
      throw new SqlError(3971, 'The stand-in server does not reset a connection and keep its transaction.');
    }
    await this.engineSession.close();
    const { user, password, database } = this.login;
    this.engineSession = await this.engine.login(user, password, database);
    this.database = this.engineSession.database;
    this.transaction = 0n;
    this.prepared.clear();
    this.bulk = undefined;
    writeResetAck(this.out);
  }
}

function executeSqlArguments(parameters: readonly RpcParameter[]): {
  sql: string;
  declaration: string;
  values: RpcParameter[];
} {
  const [statement, declaration, ...values] = parameters;
  return { sql: textArgument(statement, 'statement'), declaration: declaration?.text ?? '', values };
}

function prepareArguments(parameters: readonly RpcParameter[]): Prepared {
  return { declaration: parameters[1]?.text ?? '', sql: textArgument(parameters[2], 'stmt') };
}

function textArgument(parameter: RpcParameter | undefined, name: string): string {
  if (parameter === undefined || parameter.text === null || !/char$|text$/.test(parameter.type.name)) {
    throw new SqlError(214, `Procedure expects parameter '@${name}' of type 'ntext/nchar/nvarchar'.`, {
      state: 2,
    });
  }
  return parameter.text;
}
