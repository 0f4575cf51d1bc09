/**
 * Random layouts, values, framings and splits: what the generated code writes is what the plain interpreter
 * writes, what was computed without either, and what PostgreSQL prints.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { rowLayout } from '../src/read/layout.js';
import { generateTranscoder, STOP } from '../src/read/transcoder.js';
import { readToken } from '../src/tds/tokenReader.js';
import { loadTuples } from './support/copyBinary.js';
import { interpret } from './support/interpret.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';
import { type PlanColumn, planOf, Transcoder, transcode } from './support/transcode.js';
import {
  answer,
  collation,
  colmetadata,
  nbcRow,
  row,
  typeInfo,
  u32,
  type WireColumn,
  type WireValue,
} from './support/wire.js';
import type { Cell } from './support/wireCells.js';
import { ENCODINGS } from './support/wireText.js';
import { anyType, decimalCase, simpleCases, type TypeCase, textCases } from './support/wireTypes.js';

interface Result {
  types: TypeCase[];
  rows: { sparse: boolean; values: (Cell | null)[] }[];
}

function rowsOf(types: TypeCase[], maxRows: number): fc.Arbitrary<Result> {
  const value = ({ frame, cell }: TypeCase): fc.Arbitrary<Cell | null> =>
    frame === 'fixed' ? cell : fc.option(cell, { freq: 4 });
  const row = fc.record({ sparse: fc.boolean(), values: fc.tuple(...types.map(value)) });
  return fc.array(row, { maxLength: maxRows }).map((rows) => ({
    types,
    rows,
    // What a counterexample shows: the values would fill the screen.
    [fc.toStringMethod]: () => `${rows.length} rows of ${types.map(({ label }) => label).join(', ')}`,
  }));
}

const anyResult = fc
  .oneof(
    { arbitrary: fc.array(anyType, { minLength: 1, maxLength: 8 }), weight: 3 },
    { arbitrary: fc.array(anyType, { minLength: 9, maxLength: 40 }), weight: 1 },
  )
  .chain((types) => rowsOf(types, 12));

/** How a response arrives and what it goes through. */
const anyPath = fc.record({
  pieces: fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 })), {
    maxLength: 12,
  }),
  windowBytes: fc.constantFrom(16_384, 20_001, 65_536),
  roomBytes: fc.integer({ min: 5, max: 3000 }),
  chunkRows: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(1_000_000)),
});

function wireColumns(types: TypeCase[]): WireColumn[] {
  return types.map(({ info, frame }, i) => ({ name: `c${i}`, info, frame }));
}

function planColumns(types: TypeCase[]): PlanColumn[] {
  return types.map(({ pgType }, i) => ({ name: `c${i}`, pgType, key: i === 0 }));
}

/** The tuples as binary COPY wants them, from the expected fields. */
function expectedTuples({ types, rows }: Result): Buffer {
  const int = (value: number, bytes: number): Buffer => {
    const out = Buffer.alloc(bytes);
    out.writeIntBE(value, 0, bytes);
    return out;
  };
  return Buffer.concat(
    rows.flatMap(({ values }) => [
      int(types.length, 2),
      ...values.flatMap((cell) => (cell === null ? [int(-1, 4)] : [int(cell.field.length, 4), cell.field])),
    ]),
  );
}

function split(payload: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    pieces.push(payload.subarray(at, at + length));
    at += length;
  }
  pieces.push(payload.subarray(at));
  return pieces.filter((piece) => piece.length > 0);
}

function chunksOf(rows: number, chunkRows: number): number[] {
  const chunks: number[] = [];
  for (let left = rows; left > 0; left -= chunkRows) chunks.push(Math.min(left, chunkRows));
  return chunks;
}

function describeDifference(actual: Buffer, expected: Buffer, { types, rows }: Result): string {
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  let end = 0;
  for (const { values } of rows) {
    end += 2;
    for (const [i, cell] of values.entries()) {
      end += 4 + (cell?.field.length ?? 0);
      if (end > at && at >= 0) return `${types[i]!.label}: wire ${cell?.bytes.toString('hex', 0, 64)}`;
    }
  }
  return `${actual.length} bytes, expected ${expected.length}`;
}

async function check(
  result: Result,
  path: typeof anyPath extends fc.Arbitrary<infer T> ? T : never,
): Promise<void> {
  const payload = answer(wireColumns(result.types), result.rows);
  const expected = expectedTuples(result);
  const same = (actual: Buffer, who: string): void => {
    if (!actual.equals(expected)) assert.fail(`${who}: ${describeDifference(actual, expected, result)}`);
  };
  const plan = planOf(planColumns(result.types), path.chunkRows);
  same(interpret(plan, payload, path), 'interpreter');
  const pumped = await transcode(plan, split(payload, path.pieces), { windowBytes: path.windowBytes });
  same(pumped.tuples, 'generated');
  assert.equal(pumped.rows, result.rows.length);
  assert.deepEqual(pumped.chunks, chunksOf(result.rows.length, path.chunkRows));
}

describe('random layouts', () => {
  it('become the same tuples by generated code, by the interpreter, and by independent means', async () => {
    await fc.assert(fc.asyncProperty(anyResult, anyPath, check), { seed: 20_260_101, numRuns: 800 });
  });

  it('end a slot with the last row that fits', async () => {
    const number = { info: typeInfo.plain(0x26, 4), frame: 'byte' as const, pgType: 'integer' };
    const bytes = { info: typeInfo.binary(0xa5, 8000), frame: 'ushort' as const, pgType: 'bytea' };
    for (const [types, rowHash] of [
      [[number], true],
      [[bytes, number, number, number], false],
      [[bytes, number], true],
    ] as const) {
      const columns = types.map((type, i) => ({ ...type, name: `c${i}` }));
      const rows = Array.from({ length: 3000 }, (_, n) => ({
        values: columns.map(({ frame }) => ({ bytes: frame === 'byte' ? u32(n) : Buffer.alloc(n % 90, n) })),
      }));
      const plan = planOf(columns, 1_000_000, rowHash);
      const payload = answer(columns, rows);
      const { tuples, rows: count } = await transcode(plan, [payload]);
      const expected = interpret(plan, payload);
      assert.deepEqual([count, tuples.length], [rows.length, expected.length]);
      // Room that is kept for a row hash is not written.
      if (!rowHash) assert.ok(tuples.equals(expected));
    }
  });

  it('take nothing of what lay in the window before for a bitmap of NULLs that is not whole', async () => {
    const columns = Array.from({ length: 17 }, (_, i) => ({
      ...{ name: `c${i}`, info: typeInfo.plain(0x26, 4), frame: 'byte' as const, pgType: 'integer' },
    }));
    const plan = planOf(columns);
    const response = (values: readonly (WireValue | null)[]) => answer(columns, [{ sparse: true, values }]);
    const nulls = response(columns.map(() => null));
    const some = response(columns.map((_, i) => (i < 8 ? null : { bytes: u32(i) })));
    const reader = new Transcoder();
    const { tuples: expected } = await reader.run(plan, [some]);
    for (let bytes = 0; bytes <= 3; bytes++) {
      await reader.run(plan, [nulls]);
      const at = colmetadata(columns).length + 1 + bytes;
      const { tuples } = await reader.run(plan, [some.subarray(0, at), some.subarray(at)]);
      assert.ok(tuples.equals(expected), `cut after ${bytes} bytes of it`);
    }
  });

  it('take no row whose last byte has not come, whatever lies behind it', () => {
    const columns: (WireColumn & PlanColumn)[] = [
      { name: 'fixed', info: typeInfo.plain(0x38), frame: 'fixed', pgType: 'integer' },
      { name: 'byte', info: typeInfo.decimal(0x6a, 28, 3), frame: 'byte', pgType: 'numeric(28,3)' },
      {
        name: 'ushort',
        info: typeInfo.text(0xe7, 100, collation(0x409)),
        frame: 'ushort',
        pgType: 'varchar(50)',
      },
      { name: 'long', info: typeInfo.variant(), frame: 'long', pgType: 'text' },
      { name: 'textptr', info: typeInfo.long(0x22, null), frame: 'textptr', pgType: 'bytea' },
      { name: 'known', info: typeInfo.binary(0xa5, 0xffff), frame: 'plp', pgType: 'bytea' },
      { name: 'unknown', info: typeInfo.binary(0xa5, 0xffff), frame: 'plp', pgType: 'bytea' },
      { name: 'empty', info: typeInfo.binary(0xa5, 0xffff), frame: 'plp', pgType: 'bytea' },
      { name: 'last', info: typeInfo.plain(0x26, 4), frame: 'byte', pgType: 'integer' },
    ];
    const whole: (WireValue | null)[] = [
      { bytes: u32(7) },
      { bytes: Buffer.from([1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]) },
      { bytes: Buffer.from('two', 'utf16le') },
      { bytes: Buffer.from([0x38, 0, 1, 0, 0, 0]) },
      ...['image', 'binary'].map((text) => ({ bytes: Buffer.from(text) })),
      { bytes: Buffer.from('in two chunks'), chunks: [4], known: false },
      { bytes: Buffer.alloc(0) },
      { bytes: u32(9) },
    ];
    const out = Buffer.alloc(100_000);
    const view = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const check = (some: typeof columns, values: typeof whole): void => {
      const head = colmetadata(some);
      const metadata = readToken(head, 0, head.length);
      assert.ok(metadata?.kind === 'columns');
      const transcoder = generateTranscoder(rowLayout(planOf(some), metadata.columns, 'error'));
      for (const one of [row(some, values), nbcRow(some, values)]) {
        const state = { position: 0, output: 0, rows: 0, lastRow: -1 };
        const taken = (bytes: Buffer, end: number) => {
          const input = Buffer.concat([bytes, Buffer.alloc(1000)]);
          return transcoder(input, view(input), 0, end, out, view(out), 0, out.length, 9, 500, state);
        };
        for (let end = 0; end < one.length; end++) {
          for (const behind of [0, 1, 4, 0xff]) {
            const stop = taken(Buffer.concat([one.subarray(0, end), Buffer.alloc(300, behind)]), end);
            const nothing = { position: 0, output: 0, rows: 0, lastRow: -1 };
            assert.deepEqual([stop, state], [STOP.NEED_INPUT, nothing], `${some[0]!.name}, ${end} bytes`);
          }
        }
        taken(one, one.length);
        assert.deepEqual([state.rows, state.position], [1, one.length]);
      }
    };
    const nulls = whole.map((value, i) => (columns[i]!.frame === 'fixed' ? value : null));
    // All of them, and each as the row's last.
    for (const values of [whole, nulls]) {
      check(columns, values);
      for (const [i, column] of columns.entries()) check([column], [values[i]!]);
    }
  });

  it('wait for every chunk of a value whose length nobody has said', async () => {
    const columns = [
      { name: 'v', info: typeInfo.binary(0xa5, 0xffff), frame: 'plp' as const, pgType: 'bytea' },
    ];
    const plan = planOf(columns);
    const response = (bytes: Buffer, first: number) =>
      answer(columns, [{ values: [{ bytes, chunks: [first], known: false }] }]);
    const value = Buffer.from('first, second');
    const payload = response(value, 7);
    for (let at = colmetadata(columns).length; at < payload.length; at++) {
      // Of a window of its own each time: what is not there yet looks like the end, which is zeros.
      const { tuples } = await transcode(plan, [payload.subarray(0, at), payload.subarray(at)]);
      assert.deepEqual(tuples.subarray(6), value, `cut at ${at}`);
    }
    const large = Buffer.alloc(5 << 20, 'larger than all a reader has');
    const { tuples } = await transcode(plan, [response(large, 3)], { windowBytes: 16_384 });
    assert.ok(tuples.subarray(6).equals(large));
  });

  it('every fixed-size type, fixed and nullable, at its limits', async () => {
    await fc.assert(fc.asyncProperty(rowsOf([...simpleCases], 12), anyPath, check), {
      seed: 20_260_102,
      numRuns: 60,
    });
  });

  it('decimals of every precision and scale', async () => {
    const types: TypeCase[] = [];
    for (let precision = 1; precision <= 38; precision++) {
      for (let scale = 0; scale <= precision; scale++) types.push(decimalCase(precision, scale));
    }
    await fc.assert(fc.asyncProperty(rowsOf(types, 6), anyPath, check), { seed: 20_260_103, numRuns: 12 });
  });

  for (const encoding of ENCODINGS) {
    it(`text in ${encoding}`, async () => {
      const property = fc.asyncProperty(rowsOf(textCases(encoding, 300), 8), anyPath, check);
      await fc.assert(property, { seed: 20_260_104, numRuns: 80 });
    });
  }
});

describe('what PostgreSQL prints of random rows', () => {
  let postgres: TestPostgres;
  before(async () => {
    postgres = await sharedPostgres();
  });
  after(() => postgres?.stop());

  it('is what was computed from the values', async () => {
    const client = await postgres.client();
    try {
      await client.query(`SET timezone = 'UTC'; SET bytea_output = 'hex'`);
      const layouts = [
        ...fc.sample(anyResult, { seed: 20_260_105, numRuns: 40 }),
        ...fc.sample(rowsOf([...simpleCases], 12), { seed: 20_260_106, numRuns: 5 }),
        ...fc.sample(
          rowsOf(
            [1, 4, 5, 9, 19, 28, 38].flatMap((p) => [0, p >> 1, p].map((s) => decimalCase(p, s))),
            12,
          ),
          {
            seed: 20_260_107,
            numRuns: 5,
          },
        ),
      ];
      let values = 0;
      for (const result of layouts) {
        const columns = planColumns(result.types);
        const { tuples } = await transcode(
          planOf(columns),
          [answer(wireColumns(result.types), result.rows)],
          {
            windowBytes: 65_536,
          },
        );
        const list = columns.map(({ name, pgType }) => `${name} ${pgType}`).join(', ');
        await client.query(`DROP TABLE IF EXISTS random_rows; CREATE TEMP TABLE random_rows (${list})`);
        await loadTuples(client, 'random_rows', [tuples]);
        const printed = await client.query<(string | null)[]>({
          text: 'SELECT * FROM random_rows ORDER BY ctid',
          rowMode: 'array',
          types: { getTypeParser: () => (text: string | Buffer) => text },
        });
        assert.equal(printed.rows.length, result.rows.length);
        for (const [r, { values: cells }] of result.rows.entries()) {
          for (const [i, cell] of cells.entries()) {
            const text = printed.rows[r]![i]!;
            const { label, pgType } = result.types[i]!;
            if (typeof cell?.text === 'number') {
              const read = pgType === 'real' ? Math.fround(Number(text)) : Number(text);
              assert.ok(Object.is(read, cell.text), `${label}: ${text} for ${cell.text}`);
            } else assert.equal(text, cell === null ? null : cell.text, label);
            values++;
          }
        }
      }
      assert.ok(values > 1000, `${values} values compared`);
    } finally {
      await client.end();
    }
  });
});
