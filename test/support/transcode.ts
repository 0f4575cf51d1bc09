/**
 * Runs recorded or made-up response bytes through the real pump into a real ring, in one thread.
 */

import type { NulPolicy } from '../../src/copy/text.js';
import type { TablePlan } from '../../src/plan/model.js';
import { ChunkSink } from '../../src/read/chunkSink.js';
import { RowPump } from '../../src/read/rowPump.js';
import { RingConsumer } from '../../src/ring/consumer.js';
import { createLane, SLOT_KIND } from '../../src/ring/layout.js';
import { LaneProducer } from '../../src/ring/producer.js';
import { InputWindow } from '../../src/tds/window.js';
import type { CopyField } from '../../src/types/family.js';

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
    notes: [],
  };
}

export interface Transcoded {
  /** The tuples of every chunk, one after another. */
  tuples: Buffer;
  rows: number;
  /** Rows of each chunk, from its END slot. */
  chunks: number[];
  /** Server errors the pump passed on. */
  messages: string[];
}

/** Feeds `pieces` to a pump whose ring is emptied as it fills. */
export async function transcode(
  plan: TablePlan,
  pieces: Iterable<Buffer>,
  options: { slotBytes?: number; windowBytes?: number; nul?: NulPolicy } = {},
): Promise<Transcoded> {
  const layout = createLane({
    rings: 1,
    slotsPerRing: 8,
    slotBytes: options.slotBytes ?? 65_536,
    hashed: false,
  });
  const sink = new ChunkSink(new LaneProducer(layout));
  const ring = new RingConsumer(layout, 0);
  const windowBytes = options.windowBytes ?? 1 << 20;
  const pump = new RowPump(
    {
      plan,
      nul: options.nul ?? 'error',
      describe: (chunk) => ({
        table: 0,
        label: 'dbo.t',
        partition: 0,
        chunk,
        before: [],
        copy: '',
        after: [],
        text: null,
        hash: null,
      }),
      stopped: () => false,
    },
    sink,
    { window: new InputWindow(windowBytes), scratch: Buffer.alloc(windowBytes) },
  );
  const parts: Buffer[] = [];
  const chunks: number[] = [];
  const messages: string[] = [];
  pump.onMessage = (token) => messages.push(`${token.kind} ${token.number}: ${token.message}`);
  const empty = (): void => {
    while (ring.tryPeek()) {
      if (ring.kind === SLOT_KIND.DATA) {
        parts.push(Buffer.from(ring.buffer.subarray(ring.offset, ring.offset + ring.bytes)));
      } else if (ring.kind === SLOT_KIND.END) chunks.push((ring.json() as { rows: number }).rows);
      ring.advance();
      ring.release(1);
    }
  };
  const settle = async (work: Promise<void> | undefined): Promise<void> => {
    if (work === undefined) return;
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    settled.catch(() => {});
    while (!done) {
      empty();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settled;
  };
  for (const piece of pieces) {
    await settle(pump.push(piece));
    empty();
  }
  pump.end();
  await settle(pump.finish());
  empty();
  return { tuples: Buffer.concat(parts), rows: pump.rows, chunks, messages };
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
