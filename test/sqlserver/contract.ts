/**
 * The line between the two halves of the stand-in SQL Server: the TDS side (`tds/`) speaks the protocol,
 * the engine side (`engine/`) rewrites T-SQL and runs it on the embedded PostgreSQL.
 *
 * The engine hands rows over as the raw bytes of `COPY (...) TO STDOUT (FORMAT binary)`; each field is in
 * the storage type below, and the TDS side writes it as the declared T-SQL type's wire form.
 *
 * | T-SQL type                          | PostgreSQL storage (binary COPY field)                                   |
 * |-------------------------------------|--------------------------------------------------------------------------|
 * | bit                                 | boolean                                                                  |
 * | tinyint, smallint                   | int2                                                                     |
 * | int / bigint                        | int4 / int8                                                              |
 * | decimal, numeric, money, smallmoney | numeric                                                                  |
 * | float / real                        | float8 / float4                                                          |
 * | date                                | int4: days since 0001-01-01                                              |
 * | time(n)                             | int8: 100 ns since midnight                                              |
 * | datetime2(n)                        | int8: 100 ns since 0001-01-01                                            |
 * | datetime                            | int8: 1/300 s since 1900-01-01 (days * 25,920,000 + ticks)               |
 * | smalldatetime                       | int4: minutes since 1900-01-01                                           |
 * | datetimeoffset(n)                   | bytea(10): UTC 100 ns since 0001-01-01, int64 BE; offset minutes + 840, uint16 BE |
 * | char varchar text nchar nvarchar ntext sysname xml | text, escaped: U+0000 as U+10FFFF, lone surrogate U+D800+n as U+10F000+n |
 * | uniqueidentifier                    | uuid                                                                     |
 * | binary varbinary image rowversion   | bytea                                                                    |
 * | hierarchyid geometry geography      | text (ToString() / WKT); never sent raw: selecting one without .ToString() / .STAsText() is refused |
 * | sql_variant                         | text: JSON {"type": SqlType, "value": the storage type's PostgreSQL text} |
 */

/** A T-SQL type as the server declares it to the client. */
export interface SqlType {
  /** Lower-case system type name: `int`, `nvarchar`, `datetime2`, ... */
  name: string;
  /** Characters for (n)char/(n)varchar, bytes for (var)binary; -1 for (max). */
  length?: number;
  precision?: number;
  scale?: number;
  /** SQL Server collation name, for character types; default `SQL_Latin1_General_CP1_CI_AS`. */
  collation?: string;
}

export interface ResultColumn {
  name: string;
  type: SqlType;
  /** A NOT NULL fixed-length column is sent as the fixed wire type (INT4TYPE ...), as SQL Server does. */
  nullable: boolean;
}

/** A message of SQL Server's: class 11 and over is an error and ends the statement. */
export interface ServerMessage {
  number: number;
  state: number;
  class: number;
  message: string;
  procName?: string;
  lineNumber?: number;
}

/** Thrown by the engine for anything SQL Server would answer with an ERROR token. */
export class SqlError extends Error {
  readonly info: ServerMessage;
  constructor(number: number, message: string, options: { state?: number; class?: number } = {}) {
    super(message);
    this.info = { number, message, state: options.state ?? 1, class: options.class ?? 16 };
  }
}

/** Where rows go that are token bytes already (`PacketWriter`). */
export interface EncodedSink {
  /** Bytes of a whole packet, as the client asked. */
  readonly packetSize: number;
  /** Appends token bytes, to be framed. */
  bytes(source: Uint8Array): void;
  /** Sends whole packets behind what was appended; resolves when the socket holds nothing of them any more. */
  framed(packets: Buffer): Promise<void>;
  sendWholePackets(): void;
  /** Resolves when the client has taken enough of what was sent. */
  drained(): Promise<void>;
}

/** What running one batch produces, in order. */
export type EngineEvent =
  | { kind: 'columns'; columns: ResultColumn[] }
  /** Bytes of the binary COPY stream of the result set announced last; split anywhere, header and trailer included. */
  | { kind: 'copy'; bytes: Buffer }
  /** Rows of that result set in their wire form, instead of COPY bytes: the benchmark's replay source. */
  | { kind: 'encoded'; send: (out: EncodedSink) => Promise<void> }
  /** A statement ended; `rowCount` is undefined where SQL Server reports none (DDL, SET). */
  | { kind: 'done'; rowCount?: number }
  | { kind: 'info'; info: ServerMessage }
  | { kind: 'environment'; change: 'database' | 'begin' | 'commit' | 'rollback'; value: string };

/** A parameter of sp_executesql as decoded from RPC: `text` is the storage type's PostgreSQL text input, or null. */
export interface EngineParameter {
  name: string;
  type: SqlType;
  text: string | null;
}

/** One client's session on the engine. Not used concurrently. */
export interface EngineSession {
  readonly database: string;
  /** Runs a batch; ends early with a thrown `SqlError`. Returning early from the iteration cancels the statement. */
  execute(sql: string, parameters: EngineParameter[], signal: AbortSignal): AsyncIterable<EngineEvent>;
  close(): Promise<void>;
}

export interface Engine {
  /** Checks the password; throws SqlError 18456 (login failed) or 4060 (cannot open database). */
  login(user: string, password: string, database: string): Promise<EngineSession>;
  close(): Promise<void>;
}
