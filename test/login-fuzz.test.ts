/**
 * Random and mutated bytes of a server at PRELOGIN, login and the first result, over real sockets: a connection ends
 * as a success or in the program's own error, soon, and nothing is thrown where nobody listens. Seeds are fixed.
 *
 * Run by the main thread of the test process.
 */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../src/errors.js';
import { connectSource, type SourceOptions } from '../src/source/connection.js';
import type { Engine, EngineSession } from './sqlserver/contract.js';
import { type SqlServer, startSqlServer } from './sqlserver/server.js';
import { randomFrom } from './support/random.js';

const CASES = 400;
const AT_ONCE = 40;
/** Connect and request timeouts are one second each. */
const CASE_MS = 10_000;
const GROWTH_BYTES = 256 * 1024 * 1024;
/** [MS-TDS] packet header: type, status (1: last packet of a message), length. */
const HEADER_BYTES = 8;

const session: EngineSession = {
  database: 'fuzz',
  async *execute(sql) {
    if (sql.includes('AS answer')) {
      yield {
        kind: 'columns',
        columns: [
          { name: 'answer', type: { name: 'nvarchar', length: 20 }, nullable: true },
          { name: 'n', type: { name: 'int' }, nullable: false },
        ],
      };
    }
    yield { kind: 'done' };
  },
  async close() {},
};

let real: SqlServer;
let recorded: Buffer[];
before(async () => {
  const engine: Engine = { login: async () => session, async close() {} };
  real = await startSqlServer({ engine, encryption: 'off' });
  recorded = await record();
});
after(() => real?.close());

function optionsFor(port: number, encrypt = false): SourceOptions {
  return {
    host: '127.0.0.1',
    port,
    database: 'fuzz',
    user: 'sa',
    password: 'x',
    encrypt,
    trust_server_cert: true,
    authentication: 'sql',
    isolation: 'read_committed',
    connect_timeout_seconds: 1,
    request_timeout_seconds: 1,
    packet_size_bytes: 4096,
  };
}

async function conversation(port: number, encrypt = false): Promise<void> {
  const source = await connectSource(optionsFor(port, encrypt));
  try {
    await source.query('SELECT @a AS answer, 1 AS n', [{ name: 'a', value: 'yes' }]);
  } finally {
    await source.close();
  }
}

/** Calls `onMessage` once for each whole message a client has sent. */
function onMessages(socket: Socket, onMessage: () => void): void {
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= HEADER_BYTES && bytes.length >= bytes.readUInt16BE(2)) {
      const last = bytes[1]! & 1;
      bytes = bytes.subarray(Math.max(HEADER_BYTES, bytes.readUInt16BE(2)));
      if (last === 1) onMessage();
    }
  });
}

async function listen(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

/** @returns what the server answers to each message of a whole conversation. */
async function record(): Promise<Buffer[]> {
  const answers: Buffer[] = [];
  const { server, port } = await listen((client) => {
    const upstream = connect(real.port, '127.0.0.1');
    upstream.on('error', () => {});
    onMessages(client, () => answers.push(Buffer.alloc(0)));
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes: Buffer) => {
      answers[answers.length - 1] = Buffer.concat([answers.at(-1)!, bytes]);
      client.write(bytes);
    });
    client.on('close', () => upstream.destroy());
  });
  await conversation(port);
  server.close();
  return answers.filter(({ length }) => length > 0);
}

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xaa, 0xab, 0xad, 0xd1, 0xe3, 0xed, 0xfd, 0xfe, 0xff];

function mutate(answer: Buffer, random: (bound: number) => number): Buffer {
  if (random(8) === 0) return Buffer.from(Array.from({ length: random(400) }, () => random(256)));
  let bytes = Buffer.from(answer);
  for (let count = 1 + random(4); count > 0; count--) {
    // Mostly behind the header: what comes there is looked at by more code.
    const first = random(4) === 0 ? 0 : Math.min(HEADER_BYTES, bytes.length - 1);
    const at = first + random(Math.max(1, bytes.length - first));
    switch (random(6)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at]! ^= 1 << random(8);
        break;
      case 2:
        bytes[at] = INTERESTING[random(INTERESTING.length)]!;
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(8))]);
        break;
      case 4: {
        const more = Buffer.from(Array.from({ length: 1 + random(16) }, () => random(256)));
        bytes = Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
        break;
      }
      default:
        bytes = bytes.subarray(0, at);
    }
    if (bytes.length === 0) return bytes;
  }
  // Half of them keep a header that fits, so that the mutation is not only a matter of framing.
  if (bytes.length >= HEADER_BYTES && random(2) === 0) {
    bytes[0] = 4;
    bytes[1] = 1;
    bytes.writeUInt16BE(bytes.length, 2);
  }
  return bytes;
}

test(`${CASES} broken servers`, async (t) => {
  assert.ok(recorded.length >= 3, `${recorded.length} answers`);
  const stray: unknown[] = [];
  const onStray = (error: unknown): void => void stray.push(error);
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  const before = process.memoryUsage().rss;
  const codes = new Map<string, number>();
  const one = async (seed: number): Promise<void> => {
    const random = randomFrom(seed);
    const broken = random(recorded.length);
    const staysOpen = random(20) === 0;
    const { server, port } = await listen((socket) => {
      let answered = 0;
      onMessages(socket, () => {
        const answer = recorded[answered];
        if (answer === undefined || answered > broken) return void socket.destroy();
        socket.write(answered === broken ? mutate(answer, random) : answer);
        if (answered++ === broken && !staysOpen) socket.end();
      });
    });
    let code = 'success';
    try {
      const late = sleep(CASE_MS, 'late', { ref: false });
      const ended = await Promise.race([late, conversation(port, broken === 0 && random(3) === 0)]);
      assert.notEqual(ended, 'late', `seed ${seed}: answer ${broken} of ${recorded.length}, not ended`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof AppError, `seed ${seed}: ${String((error as Error)?.stack ?? error)}`);
      code = error.code;
      assert.notEqual(code, 'INTERNAL', `seed ${seed}: ${error.message}`);
    } finally {
      server.close();
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
    assert.deepEqual(stray, [], `thrown where nobody listens, about seed ${seed}`);
  };
  try {
    for (let seed = 1; seed <= CASES; seed += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => one(seed + i)));
    }
    // What comes after a connection has ended comes soon.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual(stray, []);
  } finally {
    process.off('uncaughtException', onStray);
    process.off('unhandledRejection', onStray);
  }
  t.diagnostic([...codes].map(([code, n]) => `${code} ${n}`).join(', '));
  const growth = process.memoryUsage().rss - before;
  assert.ok(growth < GROWTH_BYTES, `${growth} bytes more`);
});
