/**
 * The stand-in SQL Server's TDS side, driven by the real tedious over a real socket, with a fake engine behind it
 * that serves prepared results: login, encryption, errors, cancel, transactions. Runs in the test process.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { before, describe, it } from 'node:test';
import { ISOLATION_LEVEL, Request, TYPES } from 'tedious';
import { type EngineEvent, SqlError } from './sqlserver/contract.js';
import type { SqlServer } from './sqlserver/server.js';
import { selfSignedCertificate } from './sqlserver/tds/certificate.js';
import { COPY_HEADER, COPY_TRAILER, copyTuple, result } from './sqlserver/tds/fake-engine.js';
import {
  type Column,
  close,
  column,
  connect,
  engine,
  numberOf,
  query,
  serve,
  until,
} from './sqlserver/tds/test-client.js';

describe('login', () => {
  let server: SqlServer;
  before(async () => {
    server = await serve();
    engine.answer('SELECT 1', result([column('a', { name: 'int' }, false)], [['1']]));
  });

  it('lets the right password in and answers a query', async () => {
    const connection = await connect(server, { database: 'shop' });
    assert.deepEqual(await query(connection, 'SELECT 1'), { rows: [[1]], rowCount: 1 });
    assert.deepEqual((await query(connection, 'SELECT 1', undefined, 'execSqlBatch')).rows, [[1]]);
    await close(connection);
  });

  it('refuses a wrong password with error 18456', async () => {
    const numbers: number[] = [];
    await assert.rejects(
      connect(server, {}, { password: 'wrong' }, (info) => numbers.push(info.number)),
      (error: unknown) => {
        assert.equal((error as { code?: string }).code, 'ELOGIN');
        assert.match(String(error), /Login failed for user 'sa'/);
        return true;
      },
    );
    assert.deepEqual(numbers, [18456]);
  });

  it('refuses an unknown database with error 4060', async () => {
    const numbers: number[] = [];
    await assert.rejects(
      connect(server, { database: 'nowhere' }, {}, (info) => numbers.push(info.number)),
      /Cannot open database "nowhere"/,
    );
    // tedious takes 4060 for transient and tries again.
    assert.deepEqual(new Set(numbers), new Set([4060]));
  });

  it('closes the engine session with the connection', async () => {
    const open = engine.openSessions;
    const connection = await connect(server);
    assert.equal(engine.openSessions, open + 1);
    await close(connection);
    await until(() => engine.openSessions === open);
  });

  it('agrees on every packet size tedious can ask for', async () => {
    const text = 'packet '.repeat(20_000);
    engine.answer(
      'SELECT long',
      result([column('t', { name: 'nvarchar', length: -1 })], [[text], [null], [text]]),
    );
    for (const packetSize of [512, 513, 4096, 8000, 32767]) {
      const connection = await connect(server, { packetSize });
      assert.deepEqual((await query(connection, 'SELECT long')).rows, [[text], [null], [text]]);
      // A request that spans many packets as well.
      const long = `SELECT 1 /* ${'x'.repeat(50_000)} */`;
      engine.answer(long, result([column('a', { name: 'int' }, false)], [['7']]));
      assert.deepEqual((await query(connection, long)).rows, [[7]]);
      await close(connection);
    }
  });
});

describe('encryption', () => {
  const { cert, key } = selfSignedCertificate('localhost');
  const cases = [
    { server: 'on', client: true, works: true },
    { server: 'on', client: false, works: true },
    { server: 'on', client: 'strict', works: true },
    { server: 'off', client: false, works: true },
    { server: 'off', client: true, works: false },
    { server: 'off', client: 'strict', works: false },
    { server: 'required', client: true, works: true },
    { server: 'required', client: 'strict', works: true },
    { server: 'required', client: false, works: false },
  ] as const;
  for (const { server: encryption, client, works } of cases) {
    it(`server ${encryption}, client ${client}: ${works ? 'connects' : 'refused'}`, async () => {
      const server = await serve({ encryption, cert, key });
      const text = 'secret '.repeat(40_000);
      engine.answer('SELECT tls', result([column('t', { name: 'varchar', length: -1 })], [[text]]));
      // Strict encryption always proves the server's certificate.
      const proof =
        client === 'strict' ? { serverName: 'localhost', cryptoCredentialsDetails: { ca: cert } } : {};
      const connecting = connect(server, { encrypt: client, connectTimeout: 5000, ...proof });
      if (!works) {
        await assert.rejects(connecting);
        return;
      }
      const connection = await connecting;
      assert.deepEqual((await query(connection, 'SELECT tls')).rows, [[text]]);
      await close(connection);
    });
  }

  it('refuses a wrong password over TLS too, and says so', async () => {
    const server = await serve({ encryption: 'required' });
    await assert.rejects(
      connect(server, { encrypt: true }, { password: 'wrong' }),
      /Login failed for user 'sa'/,
    );
  });

  it('proves who it is to a client that trusts its certificate', async () => {
    const server = await serve({ encryption: 'required', cert, key });
    const trusting = { encrypt: true, trustServerCertificate: false, serverName: 'localhost' };
    const connection = await connect(server, { ...trusting, cryptoCredentialsDetails: { ca: cert } });
    await close(connection);
    await assert.rejects(connect(server, trusting), /self-signed certificate/);
  });
});

describe('errors and messages', () => {
  it('reports number, state and class, and goes on', async () => {
    const connection = await connect(await serve());
    await assert.rejects(query(connection, 'SELECT nothing'), (error: unknown) => {
      const { number, class: severity, state } = error as { number: number; class: number; state: number };
      assert.deepEqual({ number, severity, state }, { number: 208, severity: 16, state: 1 });
      return true;
    });
    await assert.rejects(
      query(connection, 'SELECT nothing', undefined, 'execSqlBatch'),
      /Invalid object name/,
    );
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('reports an error behind rows, after the rows', async () => {
    const rows = result([column('a', { name: 'int' })], [['1'], ['2']]).slice(0, -1);
    engine.answer('SELECT then fail', async function* () {
      yield* rows;
      throw new SqlError(8134, 'Divide by zero error encountered.');
    });
    const connection = await connect(await serve());
    const seen: unknown[] = [];
    await assert.rejects(
      query(connection, 'SELECT then fail', (request) =>
        request.on('row', (row: Column[]) => seen.push(row[0]!.value)),
      ),
      (error: unknown) => numberOf(error) === 8134,
    );
    assert.deepEqual(seen, [1, 2]);
    await close(connection);
  });

  it('sends several results and messages in one response', async () => {
    engine.answer('MANY', [
      { kind: 'info', info: { number: 50000, state: 1, class: 0, message: 'hello' } },
      ...result([column('a', { name: 'int' })], [['1']]),
      { kind: 'done', rowCount: 5 },
      { kind: 'environment', change: 'database', value: 'other' },
      ...result([column('b', { name: 'bit' }, false)], [['t'], ['f']]),
    ]);
    for (const how of ['execSql', 'execSqlBatch'] as const) {
      const connection = await connect(await serve());
      const messages: string[] = [];
      const databases: string[] = [];
      connection.on('infoMessage', (info) => messages.push(info.message));
      connection.on('databaseChange', (name) => databases.push(name));
      const answer = await query(connection, 'MANY', undefined, how);
      assert.deepEqual(answer, { rows: [[1], [true], [false]], rowCount: 8 });
      assert.deepEqual(messages, ['hello']);
      assert.deepEqual(databases, ['other']);
      await close(connection);
    }
  });

  it('refuses unknown procedures with error 2812', async () => {
    const connection = await connect(await serve());
    const calling = new Promise<void>((resolve, reject) => {
      connection.callProcedure(new Request('sp_unknown', (error) => (error ? reject(error) : resolve())));
    });
    await assert.rejects(calling, (error: unknown) => numberOf(error) === 2812);
    await close(connection);
  });

  it('closes the connection on bytes that are no TDS', async () => {
    const server = await serve();
    const socket = createConnection(server.port, '127.0.0.1');
    const closed = once(socket, 'close');
    socket.on('error', () => {});
    socket.resume();
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await closed;
  });
});

/** Rows without end (10 million), 1000 at a time; counts what was pulled and whether it was let go. */
function endless(): { run: () => AsyncGenerator<EngineEvent>; pulled: number; ended: boolean } {
  const columns = [column('a', { name: 'int' }, false), column('t', { name: 'nvarchar', length: 100 })];
  const some = Buffer.concat(
    Array.from({ length: 1000 }, (_one, index) => copyTuple(columns, [String(index), 'text'.repeat(20)])),
  );
  const state = {
    pulled: 0,
    ended: false,
    run: async function* (): AsyncGenerator<EngineEvent> {
      try {
        yield { kind: 'columns', columns };
        yield { kind: 'copy', bytes: COPY_HEADER };
        for (; state.pulled < 10_000; state.pulled++) {
          yield { kind: 'copy', bytes: some };
          await new Promise((resolve) => setImmediate(resolve));
        }
        yield { kind: 'copy', bytes: COPY_TRAILER };
        yield { kind: 'done', rowCount: state.pulled * 1000 };
      } finally {
        state.ended = true;
      }
    },
  };
  return state;
}

describe('cancel and backpressure', () => {
  for (const encrypt of [false, true]) {
    it(`cancels a running query and keeps the connection (encrypt: ${encrypt})`, async () => {
      const rows = endless();
      engine.answer('SELECT endless', () => rows.run());
      const connection = await connect(await serve(), { encrypt });
      let seen = 0;
      await assert.rejects(
        query(connection, 'SELECT endless', (request) => {
          request.on('row', () => {
            seen += 1;
            if (seen === 5000) connection.cancel();
          });
        }),
        (error: unknown) => (error as { code?: string }).code === 'ECANCEL',
      );
      assert.ok(rows.ended, 'the engine was told to stop');
      assert.ok(rows.pulled < 9000);
      assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
      await close(connection);
    });
  }

  it('cancels a query that has sent nothing yet', async () => {
    let stopped = false;
    engine.answer('WAITFOR', async function* (_parameters, signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      stopped = true;
      yield { kind: 'done' };
    });
    const connection = await connect(await serve());
    const running = query(connection, 'WAITFOR');
    setTimeout(() => connection.cancel(), 50);
    await assert.rejects(running, (error: unknown) => (error as { code?: string }).code === 'ECANCEL');
    assert.ok(stopped);
    const timed = query(connection, 'WAITFOR', (request) => request.setTimeout(50));
    await assert.rejects(timed, (error: unknown) => (error as { code?: string }).code === 'ETIMEOUT');
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('stops pulling rows while the client does not read', async () => {
    const rows = endless();
    engine.answer('SELECT endless', () => rows.run());
    const connection = await connect(await serve());
    const running = query(connection, 'SELECT endless', (request) => {
      request.once('row', () => {
        request.pause();
        setTimeout(() => {
          const before = rows.pulled;
          setTimeout(() => {
            assert.ok(before < 2000, `${before} pulled`);
            assert.equal(rows.pulled, before);
            connection.cancel();
          }, 200);
        }, 500);
      });
    });
    await assert.rejects(running, (error: unknown) => (error as { code?: string }).code === 'ECANCEL');
    assert.ok(rows.ended);
    await close(connection);
  });

  for (const encrypt of [false, true]) {
    it(`lets go of the engine when a client that does not read goes away (encrypt: ${encrypt})`, async () => {
      const rows = endless();
      engine.answer('SELECT endless', () => rows.run());
      const connection = await connect(await serve(), { encrypt });
      const open = engine.openSessions;
      const running = query(connection, 'SELECT endless', (request) => {
        request.once('row', () => {
          request.pause();
          setTimeout(() => connection.close(), 300);
        });
      });
      await assert.rejects(running);
      await until(() => rows.ended && engine.openSessions === open - 1);
      assert.ok(rows.pulled < 9000);
    });
  }
});

describe('transactions, reset and bulk load', () => {
  it('begins, commits and rolls back with descriptors', async () => {
    const connection = await connect(await serve());
    const step = (run: (done: (error?: Error | null) => void) => void) =>
      new Promise<void>((resolve, reject) => run((error) => (error ? reject(error) : resolve())));
    await step((done) => connection.beginTransaction(done, 't]1', ISOLATION_LEVEL.SNAPSHOT));
    assert.equal(
      engine.statements.at(-1),
      'SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION [t]]1]',
    );
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await step((done) => connection.saveTransaction(done, 'here'));
    assert.equal(engine.statements.at(-1), 'SAVE TRANSACTION [here]');
    await step((done) => connection.commitTransaction(done));
    assert.equal(engine.statements.at(-1), 'COMMIT TRANSACTION');
    await step((done) => connection.beginTransaction(done));
    await step((done) => connection.rollbackTransaction(done));
    assert.equal(engine.statements.at(-1), 'ROLLBACK TRANSACTION');
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('resets a connection to a fresh session', async () => {
    const connection = await connect(await serve(), { database: 'shop' });
    const open = engine.openSessions;
    await new Promise<void>((resolve, reject) =>
      connection.reset((error) => (error ? reject(error) : resolve())),
    );
    assert.equal(engine.openSessions, open);
    assert.deepEqual((await query(connection, 'SELECT 1')).rows, [[1]]);
    await close(connection);
  });

  it('turns a bulk load into inserts', async () => {
    const sql = 'INSERT INTO [dbo].[t] ([id], [name], [at]) VALUES (@p1, @p2, @p3), (@p4, @p5, @p6)';
    engine.answer(sql, [{ kind: 'done', rowCount: 2 }]);
    const connection = await connect(await serve(), { useUTC: true });
    const rowCount = await new Promise<number | undefined>((resolve, reject) => {
      const bulk = connection.newBulkLoad('[dbo].[t]', (error, count) =>
        error ? reject(error) : resolve(count),
      );
      bulk.addColumn('id', TYPES.Int, { nullable: false });
      bulk.addColumn('name', TYPES.NVarChar, { length: Infinity, nullable: true });
      bulk.addColumn('at', TYPES.DateTime2, { nullable: true, scale: 0 });
      connection.execBulkLoad(bulk, [
        [1, 'one', new Date('0001-01-02T00:00:00Z')],
        [2, null, null],
      ]);
    });
    assert.equal(rowCount, 2);
    assert.deepEqual(
      engine.received.at(-1)!.map((one) => one.text),
      ['1', 'one', '864000000000', '2', null, null],
    );
    await close(connection);
  });
});
