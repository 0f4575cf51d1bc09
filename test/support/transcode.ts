/**
 * Runs recorded or made-up response bytes through the real pump into a real ring, in one thread.
 */

import type { NulPolicy } from '../../src/copy/text.js';
import type { TablePlan } from '../../src/plan/model.js';
import { noObjects } from '../../src/plan/objectWork.js';
import type { CopyField } from '../../src/types/family.js';
import { TestPump } from './pump.js';

export interface PlanColumn {
  name: string;
  pgType: string;
  key?: boolean;
}

const FIELDS: Record<string, CopyField> = {
  boolean: 'bool',
  smallint: 'int2',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  uuid: 'uuid',
  bytea: 'bytea',
};

function fieldOf(pgType: string): CopyField {
  if (pgType.startsWith('numeric')) return 'numeric';
  if (pgType.startsWith('char(')) return 'bpchar';
  return FIELDS[pgType] ?? 'text';
}

/** A plan for columns of these PostgreSQL types; the parts a pump does not look at are made up. */
export function planOf(columns: readonly PlanColumn[], chunkRows = 1_000_000, rowHash = false): TablePlan {
  const keys = columns.filter(({ key }) => key);
  return {
    index: 0,
    source: { schema: 'dbo', name: 't' },
    target: { schema: 'public', name: 't' },
    columns: columns.map((column, i) => ({
      source: {
        name: column.name,
        ordinal: i + 1,
        type: '',
        declaredType: '',
        maxLengthBytes: 0,
        precision: 0,
        scale: 0,
        nullable: true,
        collation: null,
        identity: null,
        computed: null,
      },
      sourceName: column.name,
      targetName: column.name,
      sourceType: '',
      pgType: column.pgType,
      field: fieldOf(column.pgType),
      selectExpression: column.name,
      nullable: true,
      keyPosition: keys.indexOf(column),
      hashed: column.key !== true,
    })),
    keyColumns: keys.map(({ name }) => name),
    primaryKey: [],
    primaryKeyName: null,
    approximateRows: 0,
    chunkRows,
    rowHashColumn: rowHash ? 'row_hash' : null,
    unlogged: false,
    objects: noObjects(),
    requires: [],
    notes: [],
  };
}

export interface Transcoded {
  /** The tuples of every chunk, one after another. */
  tuples: Buffer;
  rows: number;
  /** Rows of each chunk, from its END slot. */
  chunks: number[];
}

/** A reader's pump whose ring is emptied as it fills, used for one response after another. */
export class Transcoder {
  readonly #pump: TestPump;
  #parts: Buffer[] = [];

  constructor({ windowBytes = 1 << 20, slotBytes = 65_536 } = {}) {
    this.#pump = new TestPump({ windowBytes, slotBytes, slotsPerRing: 8 });
    this.#pump.onData = (ring) => {
      this.#parts.push(Buffer.from(ring.buffer.subarray(ring.offset, ring.offset + ring.bytes)));
    };
  }

  /** Feeds the pieces of one response; throws what the pump threw. */
  async run(plan: TablePlan, pieces: Iterable<Buffer>, nul?: NulPolicy): Promise<Transcoded> {
    this.#parts = [];
    const { error, rows, chunks } = await this.#pump.run(plan, pieces, nul);
    if (error !== null) throw error;
    return { tuples: Buffer.concat(this.#parts), rows, chunks };
  }
}

/** One response through a pump of its own. */
export function transcode(
  plan: TablePlan,
  pieces: Iterable<Buffer>,
  options: { windowBytes?: number; slotBytes?: number; nul?: NulPolicy } = {},
): Promise<Transcoded> {
  return new Transcoder(options).run(plan, pieces, options.nul);
}

/** Takes the payload out of recorded packets: [MS-TDS] packet header, 8 bytes, length big-endian at 2. */
export function payloadOf(packets: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < packets.length; ) {
    const length = packets.readUInt16BE(at + 2);
    parts.push(packets.subarray(at + 8, at + length));
    at += length;
  }
  return Buffer.concat(parts);
}
