/**
 * The replay source's engine: the stand-in's, which answers catalogs, known answers and everything else, except for
 * statements about the one table that pretends to be large; those are answered from memory.
 *
 * Runs in the process of the replay source. A statement about that table that is not known is refused: an answer of
 * the few rows that are really there would be wrong.
 */
import type {
  Engine,
  EngineEvent,
  EngineParameter,
  EngineSession,
  ResultColumn,
} from '../../test/sqlserver/contract.js';
import { SqlError } from '../../test/sqlserver/contract.js';
import { TOKEN } from '../../test/sqlserver/tds/wire.js';
import { Digests } from './digests.js';
import { Recording } from './recording.js';

/** The table a database pretends to have. */
export interface ReplayTable {
  name: string;
  /** Rows it pretends to have; their Ids count from 1. */
  rows: number;
  /** Whether the server hashes; without, HASHBYTES is refused as a server of another kind would. */
  hashes: boolean;
}

/** Rows asked for by key that are put together before they are sent. */
const KEYED_ROWS_AT_ONCE = 64;

/** What is kept for one database. */
class Replayed {
  readonly recordings = new Map<string, Promise<Recording>>();
  readonly digests = new Map<string, Promise<Digests>>();
  constructor(readonly table: ReplayTable) {}

  get from(): string {
    return `[dbo].[${this.table.name}] AS t`;
  }
}

export class ReplayEngine implements Engine {
  readonly #engine: Engine;
  readonly #databases = new Map<string, Replayed>();
  /** Token bytes of rows that were asked for. */
  tdsBytes = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** From now on the database's table has these rows; what was recorded of it is kept. */
  pretend(database: string, table: ReplayTable): void {
    const known = this.#databases.get(database);
    const replayed = new Replayed(table);
    if (known?.table.name === table.name) {
      for (const [sql, recording] of known.recordings) replayed.recordings.set(sql, recording);
      for (const [key, digests] of known.digests) replayed.digests.set(key, digests);
    }
    this.#databases.set(database, replayed);
  }

  async login(user: string, password: string, database: string): Promise<EngineSession> {
    const session = await this.#engine.login(user, password, database);
    return new ReplaySession(
      session,
      () => this.#databases.get(session.database),
      (bytes) => {
        this.tdsBytes += bytes;
      },
    );
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}

class ReplaySession implements EngineSession {
  readonly #session: EngineSession;
  readonly #replayed: () => Replayed | undefined;

  readonly #sent: (tdsBytes: number) => void;

  constructor(
    session: EngineSession,
    replayed: () => Replayed | undefined,
    sent: (tdsBytes: number) => void,
  ) {
    this.#session = session;
    this.#replayed = replayed;
    this.#sent = sent;
  }

  get database(): string {
    return this.#session.database;
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  execute(sql: string, parameters: EngineParameter[], signal: AbortSignal): AsyncIterable<EngineEvent> {
    const replayed = this.#replayed();
    if (replayed === undefined) return this.#session.execute(sql, parameters, signal);
    if (sql.includes('SUM(p.rows)')) {
      const counted = sql.replace('SUM(p.rows)', `SUM(CONVERT(bigint, ${replayed.table.rows}))`);
      return this.#session.execute(counted, parameters, signal);
    }
    const bulkCopy = /^\s*(SET FMTONLY ON\s+)?select \* from dbo\.(\w+)(\s+SET FMTONLY OFF)?\s*$/i.exec(sql);
    if (bulkCopy?.[2] === replayed.table.name) return this.#peer(replayed, '*', bulkCopy[1] !== undefined);
    const pgloader = /^SELECT (.+) FROM \[dbo\]\.\[(\w+)\];$/s.exec(sql);
    if (pgloader?.[2] === replayed.table.name) return this.#peer(replayed, pgloader[1]!, false);
    if (!sql.includes(replayed.from)) return this.#session.execute(sql, parameters, signal);
    const values = new Map(parameters.map(({ name, text }) => [name.replace(/^@/, ''), text]));
    if (sql.includes(' AS first_key, ')) {
      return answer(['first_key', 'last_key'], [['1', String(replayed.table.rows)]]);
    }
    if (sql.includes('ROW_NUMBER() OVER')) return boundaries(replayed, values);
    if (sql.includes('HASHBYTES')) return this.#hashed(replayed, sql, values, signal);
    if (sql.includes(' JOIN (VALUES ')) return this.#keyed(replayed, sql, values);
    if (/^SELECT .* ORDER BY t\.\[Id\]$/s.test(sql)) return this.#rows(replayed, sql, values);
    throw unknown(sql);
  }

  /** The rows of a key range. */
  async *#rows(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const recording = await this.#recording(replayed, sql);
    const { from, to } = range(replayed, values);
    this.#sent(recording.tokenBytes(from, to));
    yield { kind: 'columns', columns: recording.columns };
    for (const send of recording.send(from, to)) yield { kind: 'encoded', send };
    yield { kind: 'done', rowCount: to - from };
  }

  /** What other tools ask: all of the table, and freebcp its columns before. */
  async *#peer(replayed: Replayed, select: string, columnsOnly: boolean): AsyncGenerator<EngineEvent> {
    const all = `SELECT ${select} FROM ${replayed.from} ORDER BY t.[Id]`;
    if (!columnsOnly) return yield* this.#rows(replayed, all, new Map());
    yield { kind: 'columns', columns: (await this.#recording(replayed, all)).columns };
    yield { kind: 'done', rowCount: 0 };
  }

  /** The rows of a list of keys. */
  async *#keyed(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const recording = await this.#recording(replayed, sql);
    const ids = numbersOf(values).filter((id) => id >= 1 && id <= replayed.table.rows);
    yield { kind: 'columns', columns: recording.columns };
    yield {
      kind: 'encoded',
      send: async (out) => {
        for (const [i, id] of ids.entries()) {
          recording.appendRow(out, id);
          if (i % KEYED_ROWS_AT_ONCE !== 0 && i + 1 < ids.length) continue;
          out.sendWholePackets();
          await out.drained();
        }
      },
    };
    yield { kind: 'done', rowCount: ids.length };
  }

  #recording(replayed: Replayed, sql: string): Promise<Recording> {
    const select = sql.slice(0, sql.indexOf(` FROM ${replayed.from}`));
    const statement = `${select} FROM ${replayed.from} ORDER BY t.[Id]`;
    return once(replayed.recordings, statement, () => Recording.record(this.#session, statement));
  }

  #hashed(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
    signal: AbortSignal,
  ): AsyncIterable<EngineEvent> {
    if (!replayed.table.hashes)
      throw new SqlError(195, "'HASHBYTES' is not a recognized built-in function name.", { class: 15 });
    if (sql.startsWith('SELECT TOP (0)')) return this.#session.execute(sql, [], signal);
    if (sql.includes(' AS s1') && !sql.includes('GROUP BY')) return this.#totals(replayed, sql, values);
    if (/ GROUP BY x\.k \/ CONVERT\(bigint, @size\)$/.test(sql))
      return this.#groupTotals(replayed, sql, values);
    if (sql.endsWith(' ORDER BY x.k, x.h')) return this.#rangeRows(replayed, sql, values);
    if (sql.endsWith('ORDER BY x.kh, x.h')) return this.#digestRows(replayed, sql, values);
    throw unknown(sql);
  }

  async *#totals(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const { from, to } = range(replayed, values);
    const { rows, first, second } = (await this.#digests(replayed, sql)).totals(from, to);
    yield* answer(['n', 's1', 's2'], [[String(rows), String(first), String(second)]]);
  }

  /** Totals by `Id / size`, and, where asked for, with the words times `Id % size`. */
  async *#groupTotals(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const digests = await this.#digests(replayed, sql);
    const { from, to } = range(replayed, values);
    const size = Number(values.get('size'));
    const placed = sql.includes(' % ');
    const rows = new PackedRows(placed ? 48 : 32);
    for (let low = from; low < to; ) {
      const high = Math.min(to, (Math.floor((low + 1) / size) + 1) * size - 1);
      rows.add((bytes, at) => digests.writeGroup(bytes, at, low, high, size, placed));
      low = high;
    }
    yield* rows.answer('p');
  }

  /** Id and hash of the rows of some ranges. */
  async *#rangeRows(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const digests = await this.#digests(replayed, sql);
    const bounds = numbersOf(values);
    const ids: number[] = [];
    for (let i = 0; i < bounds.length; i += 2) {
      const last = Math.min(bounds[i + 1]!, replayed.table.rows);
      for (let id = Math.max(bounds[i]!, 0) + 1; id <= last; id++) ids.push(id);
    }
    const rows = new PackedRows(24);
    for (const id of ids.sort((a, b) => a - b)) {
      rows.add((bytes, at) => {
        bytes.writeBigInt64BE(BigInt(id), at);
        digests.copyTo(bytes, at + 8, id);
      });
    }
    yield* rows.answer('p');
  }

  async *#digestRows(
    replayed: Replayed,
    sql: string,
    values: Map<string, string | null>,
  ): AsyncGenerator<EngineEvent> {
    const { from, to } = range(replayed, values);
    yield* answer(['k0', 'kh', 'h'], (await this.#digests(replayed, sql)).ordered(from, to));
  }

  #digests(replayed: Replayed, sql: string): Promise<Digests> {
    const end = sql.indexOf(`) AS h FROM ${replayed.from}`);
    const start = sql.lastIndexOf("HASHBYTES('MD5', ", end) + "HASHBYTES('MD5', ".length;
    if (end < 0) throw unknown(sql);
    const expression = sql.slice(start, end);
    return once(replayed.digests, `${replayed.table.rows} rows of ${expression}`, () =>
      Digests.compute(this.#session, replayed.from, expression, replayed.table.rows),
    );
  }
}

/** Every `step`-th Id of a range. */
async function* boundaries(
  replayed: Replayed,
  values: Map<string, string | null>,
): AsyncGenerator<EngineEvent> {
  const { from, to } = range(replayed, values);
  const step = Number(values.get('step'));
  const rows: string[][] = [];
  for (let id = from + step; id <= to; id += step) rows.push([String(id)]);
  yield* answer(['k0'], rows);
}

/** The Ids a statement asks for: above `from`, up to `to`. */
function range({ table }: Replayed, values: Map<string, string | null>): { from: number; to: number } {
  const from = Math.min(Number(values.get('lo0') ?? 0), table.rows);
  return { from, to: Math.max(from, Math.min(Number(values.get('hi0') ?? table.rows), table.rows)) };
}

/** Keys as they come packed: ints in texts of 11 characters each. */
function numbersOf(values: Map<string, string | null>): number[] {
  return [...values.values()].flatMap((text) => text?.match(/.{1,11}/g) ?? []).map(Number);
}

/** A small result of texts. */
async function* answer(names: string[], rows: readonly string[][]): AsyncGenerator<EngineEvent> {
  const columns = names.map(
    (name): ResultColumn => ({ name, type: { name: 'nvarchar', length: 64 }, nullable: true }),
  );
  yield { kind: 'columns', columns };
  const bytes = Buffer.alloc(21 + rows.length * names.length * 68 + rows.length * 2);
  let at = bytes.write('PGCOPY\n\xff\r\n\0', 'latin1') + 8;
  for (const row of rows) {
    at = bytes.writeInt16BE(row.length, at);
    for (const text of row) {
      at = bytes.writeInt32BE(text.length, at);
      at += bytes.write(text, at, 'latin1');
    }
  }
  at = bytes.writeInt16BE(-1, at);
  yield { kind: 'copy', bytes: bytes.subarray(0, at) };
  yield { kind: 'done', rowCount: rows.length };
}

/** Rows of one binary column, in their wire form. */
class PackedRows {
  readonly #rowBytes: number;
  #bytes = Buffer.alloc(64 * 1024);
  #used = 0;
  #rows = 0;

  constructor(rowBytes: number) {
    this.#rowBytes = rowBytes;
  }

  /** @param write puts the row's bytes at an offset */
  add(write: (bytes: Buffer, at: number) => void): void {
    if (this.#used + 3 + this.#rowBytes > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length)]);
    }
    const at = this.#bytes.writeUInt16LE(this.#rowBytes, this.#bytes.writeUInt8(TOKEN.row, this.#used));
    write(this.#bytes, at);
    this.#used = at + this.#rowBytes;
    this.#rows++;
  }

  async *answer(name: string): AsyncGenerator<EngineEvent> {
    const type = { name: 'varbinary', length: 64 } as const;
    yield { kind: 'columns', columns: [{ name, type, nullable: true }] };
    const tokens = this.#bytes.subarray(0, this.#used);
    yield {
      kind: 'encoded',
      send: async (out) => {
        out.bytes(tokens);
        out.sendWholePackets();
        await out.drained();
      },
    };
    yield { kind: 'done', rowCount: this.#rows };
  }
}

function once<Value>(
  known: Map<string, Promise<Value>>,
  key: string,
  make: () => Promise<Value>,
): Promise<Value> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}

function unknown(sql: string): SqlError {
  return new SqlError(50000, `The replay source has no answer to: ${sql.slice(0, 400)}`);
}
