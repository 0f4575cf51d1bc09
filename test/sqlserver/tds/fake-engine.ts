/**
 * An engine with prepared answers, for tests of the TDS side alone. Runs in the test's process.
 */
import {
  type Engine,
  type EngineEvent,
  type EngineParameter,
  type EngineSession,
  type ResultColumn,
  SqlError,
} from '../contract.js';
import { storageBinary } from './storage.js';

/** What a statement answers: events, or a function of its parameters that makes them. */
export type Answer =
  | EngineEvent[]
  | ((parameters: EngineParameter[], signal: AbortSignal) => AsyncIterable<EngineEvent> | EngineEvent[]);

export const PASSWORD = 'Right-1!';

export const COPY_HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
export const COPY_TRAILER = Buffer.from([0xff, 0xff]);

/** @returns the binary COPY tuple of storage texts, or of fields that are binary already. */
export function copyTuple(
  columns: readonly ResultColumn[],
  row: readonly (string | Buffer | null)[],
): Buffer {
  const parts: Buffer[] = [Buffer.from([columns.length >> 8, columns.length & 0xff])];
  row.forEach((value, index) => {
    const length = Buffer.alloc(4);
    if (value === null) {
      length.writeInt32BE(-1);
      parts.push(length);
      return;
    }
    const field = typeof value === 'string' ? storageBinary(columns[index]!.type, value) : value;
    length.writeInt32BE(field.length);
    parts.push(length, field);
  });
  return Buffer.concat(parts);
}

/** @returns the events of one result; `splitBytes` cuts the COPY stream into pieces of that size. */
export function result(
  columns: ResultColumn[],
  rows: readonly (readonly (string | Buffer | null)[])[],
  splitBytes = 0x7fff_ffff,
): EngineEvent[] {
  const stream = Buffer.concat([COPY_HEADER, ...rows.map((row) => copyTuple(columns, row)), COPY_TRAILER]);
  const events: EngineEvent[] = [{ kind: 'columns', columns }];
  for (let at = 0; at < stream.length; at += splitBytes) {
    events.push({ kind: 'copy', bytes: stream.subarray(at, at + splitBytes) });
  }
  events.push({ kind: 'done', rowCount: rows.length });
  return events;
}

export class FakeEngine implements Engine {
  /** Parameters of every statement that had some, newest last. */
  readonly received: EngineParameter[][] = [];
  /** SQL of every statement, newest last. */
  readonly statements: string[] = [];
  openSessions = 0;
  private readonly answers = new Map<string, Answer>();

  answer(sql: string, answer: Answer): void {
    this.answers.set(sql, answer);
  }

  async login(user: string, password: string, database: string): Promise<EngineSession> {
    if (user !== 'sa' || password !== PASSWORD) {
      throw new SqlError(18456, `Login failed for user '${user}'.`, { class: 14 });
    }
    if (database === 'nowhere') {
      throw new SqlError(
        4060,
        `Cannot open database "${database}" requested by the login. The login failed.`,
        {
          class: 11,
        },
      );
    }
    this.openSessions += 1;
    return {
      database: database || 'master',
      execute: (sql, parameters, signal) => this.execute(sql, parameters, signal),
      close: async () => {
        this.openSessions -= 1;
      },
    };
  }

  async close(): Promise<void> {}

  private async *execute(
    sql: string,
    parameters: EngineParameter[],
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    this.statements.push(sql);
    if (parameters.length > 0) this.received.push(parameters);
    const answer = this.answers.get(sql);
    if (answer === undefined) {
      // What tedious sends by itself after login.
      if (/^\s*set /i.test(sql) || /transaction/i.test(sql)) return;
      throw new SqlError(208, `Invalid object name '${sql}'.`);
    }
    yield* typeof answer === 'function' ? answer(parameters, signal) : answer;
  }
}
