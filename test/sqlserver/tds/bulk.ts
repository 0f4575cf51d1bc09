/**
 * INSERT BULK and the bulk load message of [MS-TDS]: COLMETADATA and ROW tokens from the client become INSERT
 * statements with parameters for the engine. Runs on the server's thread.
 */
import {
  type EngineEvent,
  type EngineParameter,
  type EngineSession,
  SqlError,
  type SqlType,
} from '../contract.js';
import { ByteReader } from './reader.js';
import { readTypeInfo, readValue, type WireValueType } from './values.js';
import { ProtocolViolation, TOKEN, TYPE } from './wire.js';

/** Parameters in one INSERT; SQL Server's limit is 2100. */
const MAX_PARAMETERS = 2000;

export interface BulkTarget {
  table: string;
}

const INSERT_BULK =
  /^\s*insert\s+bulk\s+((?:\[(?:[^\]]|\]\])*\]|[^\s(.]+)(?:\.(?:\[(?:[^\]]|\]\])*\]|[^\s(.]+))*)\s*\(/iu;

/** @returns the table of an INSERT BULK statement, or undefined for any other. */
export function bulkTarget(sql: string): BulkTarget | undefined {
  const match = INSERT_BULK.exec(sql);
  return match === null ? undefined : { table: match[1]! };
}

interface BulkColumn {
  name: string;
  wire: WireValueType;
}

export class BulkLoad {
  private readonly target: BulkTarget;

  constructor(target: BulkTarget) {
    this.target = target;
  }

  /** Inserts the rows of a bulk load message; yields one `done` with their number. */
  async *run(payload: Buffer, session: EngineSession, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const reader = new ByteReader(payload);
    if (reader.u8() !== TOKEN.colMetadata) throw new ProtocolViolation('bulk load without COLMETADATA');
    const columns = readColumns(reader);
    const rowsAtOnce = Math.max(1, Math.min(1000, Math.floor(MAX_PARAMETERS / columns.length)));
    let batch: (string | null)[][] = [];
    let rowCount = 0;
    for (;;) {
      const token = reader.u8();
      if (token === TOKEN.row) batch.push(columns.map((column) => readBulkValue(reader, column.wire)));
      if (batch.length > 0 && (batch.length === rowsAtOnce || token !== TOKEN.row)) {
        rowCount += batch.length;
        await this.insert(columns, batch, session, signal);
        batch = [];
      }
      if (token === TOKEN.row) continue;
      if (token !== TOKEN.done) throw new ProtocolViolation(`token 0x${token.toString(16)} in a bulk load`);
      yield { kind: 'done', rowCount };
      return;
    }
  }

  private async insert(
    columns: BulkColumn[],
    rows: (string | null)[][],
    session: EngineSession,
    signal: AbortSignal,
  ): Promise<void> {
    const parameters: EngineParameter[] = [];
    const tuples = rows.map((row) => {
      const names = row.map((text, index) => {
        const name = `@p${parameters.length + 1}`;
        parameters.push({ name, type: parameterType(columns[index]!.wire.type), text });
        return name;
      });
      return `(${names.join(', ')})`;
    });
    const names = columns.map((column) => `[${column.name.replaceAll(']', ']]')}]`).join(', ');
    const sql = `INSERT INTO ${this.target.table} (${names}) VALUES ${tuples.join(', ')}`;
    for await (const event of session.execute(sql, parameters, signal)) {
      if (event.kind === 'info' && event.info.class > 10) {
        throw new SqlError(event.info.number, event.info.message, event.info);
      }
    }
  }
}

/** Long types are no parameter types: their modern forms stand for them. */
function parameterType(type: SqlType): SqlType {
  if (type.name === 'text') return { name: 'varchar', length: -1 };
  if (type.name === 'ntext') return { name: 'nvarchar', length: -1 };
  if (type.name === 'image') return { name: 'varbinary', length: -1 };
  return type;
}

function readColumns(reader: ByteReader): BulkColumn[] {
  const columns: BulkColumn[] = [];
  for (let left = reader.u16(); left > 0; left--) {
    reader.bytes(6);
    const wire = readTypeInfo(reader);
    if (wire.token === TYPE.text || wire.token === TYPE.ntext || wire.token === TYPE.image)
      reader.utf16(reader.u16());
    columns.push({ name: reader.utf16(reader.u8()), wire });
  }
  return columns;
}

function readBulkValue(reader: ByteReader, wire: WireValueType): string | null {
  if (wire.token === TYPE.text || wire.token === TYPE.ntext || wire.token === TYPE.image) {
    // In a row a long value stands behind its text pointer and timestamp.
    const pointerBytes = reader.u8();
    if (pointerBytes === 0) return null;
    reader.bytes(pointerBytes + 8);
  }
  return readValue(reader, wire);
}
