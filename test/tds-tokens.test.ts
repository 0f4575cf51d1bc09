/**
 * The token reader: every token cut at every byte, broken off, out of place, and the collations of COLMETADATA.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { AppError } from '../src/errors.js';
import { encodingOfCollation } from '../src/tds/collation.js';
import { readToken } from '../src/tds/tokenReader.js';
import { TestPump } from './support/pump.js';
import { planOf } from './support/transcode.js';
import {
  answer,
  collation,
  colmetadata,
  columnInfo,
  done,
  environment,
  errorToken,
  infoToken,
  order,
  returnStatus,
  row,
  sessionState,
  tableName,
  typeInfo,
  u8,
  u16,
  uint,
  type WireColumn,
} from './support/wire.js';
import { simpleCases, textCases } from './support/wireTypes.js';

const ID: WireColumn = { name: 'id', info: typeInfo.plain(0x38), frame: 'fixed' };
const idPlan = (chunkRows = 1_000_000) => planOf([{ name: 'id', pgType: 'integer', key: true }], chunkRows);
const idRow = (value: number): Buffer => row([ID], [{ bytes: uint(BigInt(value), 4) }]);

const everyColumn: WireColumn[] = [
  ...simpleCases,
  ...textCases('utf16le', 10),
  ...textCases('cp1251', 10),
].map(({ label, info, frame }) => ({ name: label, info, frame }));
everyColumn.push(
  { name: 'a "name" of 平仮名 \u{1f600}', info: typeInfo.decimal(0x6c, 38, 38), frame: 'byte' },
  { name: '', info: typeInfo.binary(0xad, 8000), frame: 'ushort' },
  { name: 'x'.repeat(128), info: typeInfo.xml('collection'), frame: 'plp' },
  { name: 'image', info: typeInfo.long(0x22, null, ['srv', 'db', 'dbo', 't']), frame: 'textptr' },
  { name: 'no table', info: typeInfo.long(0x63, collation(0x409), []), frame: 'textptr' },
  { name: 'variant', info: typeInfo.variant(), frame: 'long' },
);

const TOKENS: Record<string, Buffer> = {
  columns: colmetadata(everyColumn),
  'no columns': Buffer.concat([u8(0x81), u16(0xffff)]),
  error: errorToken({ number: 50_000, message: 'Zu spät \u{1f600}', class: 17, state: 3, line: 70_000 }),
  info: infoToken({ number: 5701, message: '', state: 2 }),
  done: done(3),
  doneProc: done(0, 0, 0xfe),
  doneInProc: done(7, 0x11, 0xff),
  'return status': returnStatus(-6),
  order: order(1, 3),
  environment: environment(1, Buffer.from([2, 97, 0, 98, 0, 0])),
  'session state': sessionState(Buffer.from('state')),
  'table name': tableName('dbo', 't'),
  'column info': columnInfo(4),
};

function protocol(error: unknown, message: RegExp): void {
  assert.ok(error instanceof AppError, `expected an AppError, not ${error}`);
  assert.equal(error.code, 'PROTOCOL');
  assert.match(error.message, message);
}

describe('tokens', () => {
  for (const [name, bytes] of Object.entries(TOKENS)) {
    it(`${name}: needs its last byte, and takes nothing that follows`, () => {
      const before = Buffer.from('before');
      const whole = Buffer.concat([before, bytes, Buffer.alloc(300, 0xee)]);
      for (let end = before.length; end < before.length + bytes.length; end++) {
        assert.equal(readToken(whole, before.length, end), null, `cut after ${end - before.length} bytes`);
      }
      for (const end of [before.length + bytes.length, whole.length]) {
        assert.equal(readToken(whole, before.length, end)?.end, before.length + bytes.length);
      }
    });
  }

  it('say what is in them', () => {
    const error = readToken(TOKENS.error!, 0, TOKENS.error!.length);
    assert.deepEqual(error, {
      kind: 'error',
      end: TOKENS.error!.length,
      number: 50_000,
      state: 3,
      class: 17,
      message: 'Zu spät \u{1f600}',
      serverName: 'SERVER',
      procName: 'proc',
      lineNumber: 70_000,
    });
    const states = [
      [TOKENS.done!, false, false],
      [TOKENS.doneInProc!, true, false],
      [done(0, 2), false, true],
      [done(0, 0x100, 0xfe), false, true],
    ] as const;
    for (const [bytes, more, failed] of states) {
      assert.deepEqual(readToken(bytes, 0, bytes.length), { kind: 'done', end: 13, more, failed });
    }
    const columns = readToken(TOKENS.columns!, 0, TOKENS.columns!.length);
    assert.ok(columns?.kind === 'columns');
    assert.deepEqual(
      columns.columns.map(({ name, framing, nullable }) => ({ name, framing, nullable })),
      everyColumn.map(({ name, frame }) => ({ name, framing: frame, nullable: frame !== 'fixed' })),
    );
    const decimal = columns.columns.find(({ precision }) => precision > 0);
    assert.deepEqual([decimal?.precision, decimal?.scale, decimal?.maxBytes], [38, 38, 17]);
  });

  it('that have no place or make no sense are PROTOCOL errors', () => {
    const cases: [Buffer, RegExp][] = [
      [u8(0x00), /token 0x0/],
      [u8(0xac), /token 0xac/],
      [Buffer.concat([u8(0xaa), u16(3), Buffer.alloc(3)]), /exceed its length of 3 bytes/],
      [Buffer.concat([u8(0xaa), u16(9), Buffer.alloc(6), u16(500), u8(0)]), /exceed its length/],
    ];
    const types: [Buffer, RegExp][] = [
      [u8(0x1f), /data type 0x1f/],
      [Buffer.from([0x26, 3]), /0x26 with the impossible size 3/],
      [Buffer.from([0x24, 15]), /0x24 with the impossible size 15/],
      [Buffer.from([0x6d, 0]), /0x6d with the impossible size 0/],
      [Buffer.from([0x6a, 17, 39, 0]), /decimal\(39,0\)/],
      [Buffer.from([0x6a, 17, 5, 6]), /decimal\(5,6\)/],
      [Buffer.from([0x29, 8]), /scale 8/],
    ];
    for (const [info, message] of types) cases.push([colmetadata([{ ...ID, info }]), message]);
    for (const [bytes, message] of cases) {
      const padded = Buffer.concat([bytes, Buffer.alloc(40)]);
      assert.throws(
        () => readToken(padded, 0, padded.length),
        (error) => {
          protocol(error, message);
          return true;
        },
      );
    }
  });
});

describe('a response', () => {
  const pump = new TestPump();

  it('with every other token between its parts is read at every split', async () => {
    const payload = Buffer.concat([
      TOKENS.environment!,
      infoToken({ number: 1, message: 'first' }),
      colmetadata([ID]),
      tableName('t'),
      columnInfo(1),
      order(1),
      idRow(1),
      infoToken({ number: 2, message: 'between rows' }),
      idRow(2),
      TOKENS['session state']!,
      idRow(3),
      done(3, 0x11, 0xff),
      returnStatus(0),
      done(0, 0, 0xfe),
    ]);
    for (let at = 0; at <= payload.length; at++) {
      const result = await pump.run(idPlan(2), [payload.subarray(0, at), payload.subarray(at)]);
      assert.equal(result.error, null, `split at ${at}`);
      assert.deepEqual(result.messages, ['info 1: first', 'info 2: between rows']);
      assert.deepEqual([result.rows, result.chunks, result.aborted], [3, [2, 1], 0]);
    }
  });

  it('that breaks off anywhere is a PROTOCOL error, and its open chunk is not ended', async () => {
    const payload = answer(
      [ID],
      [1, 2, 3].map((n) => ({ values: [{ bytes: uint(BigInt(n), 4) }] })),
    );
    const headBytes = colmetadata([ID]).length;
    for (let end = 0; end < payload.length; end++) {
      const result = await pump.run(idPlan(2), [payload.subarray(0, end)]);
      protocol(result.error, /ended in the middle/);
      // The first chunk is full with the second row's last byte; the other one stays open.
      assert.deepEqual(result.chunks, end >= headBytes + 10 ? [2] : []);
    }
  });

  it('that goes on behind its end with part of a token is a PROTOCOL error', async () => {
    const result = await pump.run(idPlan(), [Buffer.concat([answer([ID], []), done(0).subarray(0, 5)])]);
    protocol(result.error, /ended in the middle/);
  });

  it('with an ERROR among its rows passes the message on and ends no chunk', async () => {
    const payload = Buffer.concat([
      colmetadata([ID]),
      idRow(1),
      idRow(2),
      errorToken({ number: 1205, message: 'deadlock victim' }),
      done(2, 2),
    ]);
    const result = await pump.run(idPlan(), [payload]);
    assert.deepEqual(result, {
      error: null,
      rows: 2,
      chunks: [],
      uppers: [],
      aborted: 1,
      messages: ['error 1205: deadlock victim'],
    });
  });

  it('that ends as failed without an ERROR is an error all the same', async () => {
    for (const status of [2, 0x100]) {
      const result = await pump.run(idPlan(), [
        Buffer.concat([colmetadata([ID]), idRow(1), done(1, status)]),
      ]);
      assert.ok(result.error instanceof AppError);
      assert.equal(result.error.code, 'SOURCE_QUERY');
      assert.deepEqual([result.chunks, result.aborted], [[], 1]);
    }
  });

  it('with rows before columns, after its end, or a second result is a PROTOCOL error', async () => {
    const cases: [Buffer, RegExp][] = [
      [Buffer.concat([idRow(1), done(1)]), /row outside of a result/],
      [Buffer.concat([answer([ID], []), idRow(1), done(1)]), /row outside of a result/],
      [Buffer.concat([colmetadata([ID]), idRow(1), colmetadata([ID]), done(1)]), /second result/],
      [Buffer.concat([colmetadata([ID]), idRow(1), u8(0x55), done(1)]), /token 0x55/],
      [Buffer.concat([u8(0xe4), Buffer.from('ffffff7f', 'hex'), Buffer.alloc(20_000)]), /token of more than/],
    ];
    for (const [payload, message] of cases) {
      const result = await pump.run(idPlan(), [payload]);
      protocol(result.error, message);
      assert.deepEqual(result.chunks, []);
    }
  });

  it('with a value no window can hold is a PROTOCOL error, not a wait without end', async () => {
    const columns: WireColumn[] = [{ name: 'v', info: typeInfo.variant(), frame: 'long' }];
    const head = Buffer.concat([colmetadata(columns), u8(0xd1), Buffer.from('ffffff7f', 'hex')]);
    const result = await pump.run(planOf([{ name: 'v', pgType: 'text' }]), [head, Buffer.alloc(40_000)]);
    protocol(result.error, /value of 2147483647 bytes/);
  });
});

describe('collations', () => {
  it('have the code pages the driver knows for them', () => {
    const require = createRequire(import.meta.url);
    const tables = require('tedious/lib/collation') as Record<
      'codepageByLanguageId' | 'codepageBySortId',
      Record<string, string>
    >;
    const languages = Object.entries(tables.codepageByLanguageId);
    const sorts = Object.entries(tables.codepageBySortId);
    assert.ok(languages.length > 50 && sorts.length > 50);
    for (const [lcid, page] of languages) {
      assert.equal(
        encodingOfCollation(Number(lcid) | 0x00d0_0000, 0),
        page.toLowerCase(),
        `language ${lcid}`,
      );
    }
    for (const [sortId, page] of sorts) {
      assert.equal(encodingOfCollation(0x0409, Number(sortId)), page.toLowerCase(), `sort id ${sortId}`);
    }
    // SQL_Latin1_General_CP437_BIN2 and SQL_Latin1_General_CP850_BIN2, which tedious leaves out.
    assert.equal(encodingOfCollation(0x0409, 35), 'cp437');
    assert.equal(encodingOfCollation(0x0409, 45), 'cp850');
    assert.equal(encodingOfCollation(0x0411 | 0x0400_0000, 0), 'utf8');
    assert.equal(encodingOfCollation(0x0439, 0), null);
  });
});
