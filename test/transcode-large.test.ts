/**
 * Rows of hundreds of megabytes through slots of 64 KiB: every byte arrives, memory stays flat, the slots say
 * where rows begin, and the row hasher, working on those slots, agrees.
 */
import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { describe, it, test } from 'node:test';
import { createRowHasher } from '../src/hash/rowHasher.js';
import { WHOLE_TABLE_ROWS } from '../src/plan/model.js';
import { SLOT_FLAG } from '../src/ring/layout.js';
import { TestPump } from './support/pump.js';
import { planOne, sourceColumn } from './support/sourceTables.js';
import { type PlanColumn, planOf } from './support/transcode.js';
import {
  collation,
  colmetadata,
  done,
  row,
  typeInfo,
  u8,
  u32,
  u64,
  uint,
  type WireColumn,
} from './support/wire.js';

const MIB = 1024 * 1024;
/** What a reader may grow by: spool, windows and garbage not yet collected. */
const GROWTH_BYTES = 100 * MIB;
const PACKET_BYTES = 32_759;

interface Large {
  column: WireColumn & PlanColumn;
  /** What the value repeats, on the wire and in PostgreSQL. */
  wire: Buffer;
  field: Buffer;
  /** How often. */
  times: number;
  /** PLP: the total length goes first; its chunks have these many bytes. */
  known?: boolean;
  chunkBytes?: number;
}

const WORDS = 'grüße, 漢字, \u{1f600}; plain ASCII follows, as it mostly does ';
const BYTES = Buffer.from(Array.from({ length: 997 }, (_, i) => (i * i) & 255));

function large(name: string, megabytes: number, more: Partial<Large> = {}): Large {
  const [wire, field] =
    name === 'wide'
      ? [Buffer.from(WORDS, 'utf16le'), Buffer.from(WORDS)]
      : name === 'text'
        ? [Buffer.from('caf\xe9 cr\xe8me ', 'latin1'), Buffer.from('café crème ')]
        : [BYTES, BYTES];
  const info = {
    wide: typeInfo.text(0xe7, 0xffff, collation(0x409)),
    text: typeInfo.long(0x23, collation(0x409)),
    bytes: typeInfo.binary(0xa5, 0xffff),
    unknown: typeInfo.binary(0xa5, 0xffff),
  }[name]!;
  const frame = name === 'text' ? 'textptr' : 'plp';
  const pgType = name === 'wide' || name === 'text' ? 'text' : 'bytea';
  return {
    column: { name, info, frame, pgType },
    wire,
    field,
    times: Math.ceil((megabytes * MIB) / wire.length),
    ...more,
  };
}

/** `total` bytes of `pattern` over and over, in pieces that begin anywhere in it. */
function* repeated(pattern: Buffer, total: number, pieceBytes: number): Generator<Buffer> {
  const block = Buffer.alloc(pieceBytes + pattern.length, pattern);
  for (let at = 0; at < total; at += pieceBytes) {
    const from = at % pattern.length;
    yield block.subarray(from, from + Math.min(pieceBytes, total - at));
  }
}

function* valueBytes({ column, wire, times, known, chunkBytes = 65_521 }: Large): Generator<Buffer> {
  const total = wire.length * times;
  if (column.frame === 'textptr') {
    yield Buffer.concat([u8(16), Buffer.alloc(24, 0xee), u32(total)]);
    yield* repeated(wire, total, chunkBytes);
    return;
  }
  yield u64(known === false ? -2n : BigInt(total));
  for (const chunk of repeated(wire, total, chunkBytes)) {
    yield u32(chunk.length);
    yield chunk;
  }
  yield u32(0);
}

/** As packets bring it: pieces of one size, whatever they cut. */
function* packets(parts: Iterable<Buffer>): Generator<Buffer> {
  const packet = Buffer.alloc(PACKET_BYTES);
  let fill = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      const count = part.copy(packet, fill, at);
      at += count;
      fill += count;
      if (fill === PACKET_BYTES) {
        yield packet;
        fill = 0;
      }
    }
  }
  if (fill > 0) yield packet.subarray(0, fill);
}

/** Reads tuples cut anywhere, field by field, without keeping them. */
class TupleWalk {
  /** Digests of every field of the rows that have ended; null for NULL. */
  readonly rows: (string | null)[][] = [];
  /** The last field of each row as text, and what it should be. */
  readonly rowHashes: string[] = [];
  readonly expectedHashes: string[] = [];
  #head = Buffer.alloc(0);
  #fields = -1;
  #digests: (string | null)[] = [];
  #left = -1;
  #field: Hash = createHash('sha1');
  #row: Hash = createHash('md5');
  #last = '';

  get inRow(): boolean {
    return this.#fields >= 0 || this.#head.length > 0;
  }

  /** @returns what a slot of these bytes should say of itself. */
  slot(bytes: Buffer): { flags: number; rows: number; first: number } {
    const startsIn = this.inRow;
    const before = this.rows.length;
    let first = startsIn ? bytes.length : 0;
    let at = 0;
    const take = (wanted: number): Buffer | null => {
      const piece = bytes.subarray(at, at + wanted - this.#head.length);
      at += piece.length;
      this.#head = Buffer.concat([this.#head, piece]);
      if (this.#head.length < wanted) return null;
      const whole = this.#head;
      this.#head = Buffer.alloc(0);
      return whole;
    };
    while (at < bytes.length) {
      if (this.#fields < 0) {
        this.#fields = take(2)?.readInt16BE() ?? -1;
        continue;
      }
      if (this.#left < 0) {
        const length = take(4);
        if (length === null) continue;
        this.#left = length.readInt32BE();
        const isNull = this.#left < 0;
        const { length: ordinal } = this.#digests;
        if (ordinal > 0 && ordinal < this.#fields - 1) this.#row.update(length);
        if (isNull) this.#endField(null);
        else if (this.#left === 0) this.#endField(this.#field.digest('hex'));
      } else {
        const piece = bytes.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        const { length: ordinal } = this.#digests;
        if (ordinal === this.#fields - 1) this.#last += piece.toString('latin1');
        else if (ordinal > 0) this.#row.update(piece);
        this.#field.update(piece);
        if (this.#left === 0) this.#endField(this.#field.digest('hex'));
      }
      if (this.#fields < 0 && startsIn && this.rows.length === before + 1 && first === bytes.length)
        first = at;
    }
    const flags = (startsIn ? SLOT_FLAG.STARTS_IN_ROW : 0) | (this.inRow ? SLOT_FLAG.CONTINUES_ROW : 0);
    return { flags, rows: this.rows.length - before, first };
  }

  #endField(digest: string | null): void {
    this.#left = -1;
    this.#field = createHash('sha1');
    this.#digests.push(digest);
    if (this.#digests.length < this.#fields) return;
    this.rows.push(this.#digests.slice(0, -1));
    this.rowHashes.push(this.#last);
    this.expectedHashes.push(this.#row.digest('hex'));
    this.#row = createHash('md5');
    this.#last = '';
    this.#digests = [];
    this.#fields = -1;
  }
}

function digestOf(pattern: Buffer, times: number): string {
  const hash = createHash('sha1');
  for (const piece of repeated(pattern, pattern.length * times, pattern.length * 4096)) hash.update(piece);
  return hash.digest('hex');
}

/** Sends rows of `values` and of NULLs by turns through 64 KiB slots. @returns the most memory the process grew by. */
async function send(values: Large[], bigRows: number, windowBytes: number): Promise<number> {
  const id: WireColumn & PlanColumn = {
    name: 'id',
    info: typeInfo.plain(0x38),
    frame: 'fixed',
    pgType: 'integer',
    key: true,
  };
  const columns = [id, ...values.map(({ column }) => column)];
  const nulls = Buffer.concat(values.map(({ column }) => (column.frame === 'plp' ? u64(-1n) : u8(0))));
  function* response(): Generator<Buffer> {
    yield colmetadata(columns);
    for (let n = 0; n < bigRows; n++) {
      for (let small = 0; small < 3; small++) yield Buffer.concat([u8(0xd1), uint(BigInt(n), 4), nulls]);
      yield Buffer.concat([u8(0xd1), uint(BigInt(n), 4)]);
      for (const value of values) yield* valueBytes(value);
    }
    yield done(bigRows * 4);
  }

  const pump = new TestPump({ windowBytes });
  const hasher = createRowHasher(
    columns.map(({ pgType, key }) => ({
      field: pgType === 'text' ? 'text' : pgType === 'bytea' ? 'bytea' : 'int4',
      hashed: key !== true,
    })),
  );
  const view = new DataView(pump.lane.buffer);
  const walk = new TupleWalk();
  const before = process.memoryUsage().rss;
  let most = before;
  let slots = 0;
  pump.onData = (ring) => {
    assert.equal(hasher.hashSlot(view, ring.offset, ring.bytes), ring.rows);
    const expected = walk.slot(ring.buffer.subarray(ring.offset, ring.offset + ring.bytes));
    const said = { flags: ring.flags, rows: ring.rows, first: ring.firstRowOffset };
    assert.deepEqual(said, expected, `slot ${slots}`);
    if (slots++ % 16 === 0) most = Math.max(most, process.memoryUsage().rss);
  };
  const result = await pump.run(planOf(columns, 1_000_000, true), packets(response()));
  assert.equal(result.error, null);
  assert.deepEqual([result.rows, result.chunks], [bigRows * 4, [bigRows * 4]]);
  assert.equal(walk.inRow, false);
  assert.equal(hasher.atRowEnd, true);

  const digests = values.map(({ field, times }) => digestOf(field, times));
  walk.rows.forEach((row, i) => {
    assert.deepEqual(row.slice(1), i % 4 === 3 ? digests : values.map(() => null), `row ${i}`);
  });
  assert.deepEqual(walk.rowHashes, walk.expectedHashes);
  return most - before;
}

test('a chunk ends by its bytes, unless no key could tell its rows from those behind it', async () => {
  const columns = [
    { name: 'v', info: typeInfo.binary(0xa5, 0xffff), frame: 'plp' as const, pgType: 'bytea' },
  ];
  const one = row(columns, [{ bytes: Buffer.alloc(MIB) }]);
  function* response(): Generator<Buffer> {
    yield colmetadata(columns);
    for (let n = 0; n < 130; n++) yield one;
    yield done(130);
  }
  for (const [chunkRows, chunks] of [
    [1_000_000, [128, 2]],
    [WHOLE_TABLE_ROWS, [130]],
  ] as const) {
    const result = await new TestPump({ windowBytes: MIB }).run(planOf(columns, chunkRows), response());
    assert.deepEqual([result.error, result.chunks], [null, chunks]);
  }
});

test('a chunk that has bytes enough ends with its next row, also where that has still to come', async () => {
  const names = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const plan = planOne(
    { columns: names.map((name) => sourceColumn(name, 'int')), key: ['c0'] },
    { chunkRows: 1_000_000 },
  );
  const columns = names.map((name) => ({ name, info: typeInfo.plain(0x38), frame: 'fixed' as const }));
  const one = row(
    columns,
    names.map(() => ({ bytes: u32(0) })),
  );
  const tupleBytes = 2 + 8 * names.length;
  const first = Math.ceil((128 * MIB) / tupleBytes);
  function* response(): Generator<Buffer> {
    yield colmetadata(columns);
    for (let id = 1; id <= first + 200; id++) {
      one.writeUInt32LE(id, 1);
      // When a slot is full, of its next row there is only the beginning.
      yield one.subarray(0, 3);
      yield one.subarray(3);
    }
    yield done(first + 200);
  }
  const { chunks, uppers } = await new TestPump().run(plan, response(), 'error', { upper: null });
  assert.ok(chunks[0]! >= first && chunks[0]! < first + 100, `${chunks}`);
  assert.deepEqual(uppers, [[String(chunks[0])], null]);
});

describe('large values', () => {
  it('of 60 to 100 MB each in one row, in bounded memory', async () => {
    const values = [
      large('wide', 100),
      large('bytes', 100, { chunkBytes: 8000 }),
      large('unknown', 100, { known: false, chunkBytes: 1_000_003 }),
      large('text', 60),
    ];
    const grown = await send(values, 1, MIB);
    assert.ok(grown < GROWTH_BYTES, `the process grew by ${Math.round(grown / MIB)} MB`);
  });

  it('around the size of a slot and of a window', async () => {
    for (const bytes of [65_400, 65_500, 65_536, 131_000, 1_048_570]) {
      const times = (size: number): number => Math.ceil(bytes / size);
      const values = [
        large('wide', 0, { times: times(WORDS.length * 2), chunkBytes: 1021 }),
        large('unknown', 0, { times: times(BYTES.length), known: false, chunkBytes: 7919 }),
        large('text', 0, { times: times(11) }),
      ];
      for (const windowBytes of [16_384, 65_536, MIB]) await send(values, 3, windowBytes);
    }
  });
});
