/** A writer's COPY over a socket that takes its time. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import type pg from 'pg';
import type { CopyStreamQuery } from 'pg-copy-streams';
import { CopyChunk } from '../src/write/copyChunk.js';

test('a slot may be used again once its bytes have left the socket, and not before', async () => {
  let leave: (() => void) | null = null;
  let slow = false;
  const stream = new Writable({
    // So much may wait in the socket before a writer hears of it.
    highWaterMark: 1 << 20,
    write(_bytes, _encoding, done) {
      if (slow) leave = done;
      else done();
    },
  });
  const connection = { stream, query: () => {} };
  const client = Object.assign(new EventEmitter(), {
    connection,
    query(copy: CopyStreamQuery & { handleCopyInResponse(on: unknown): void }) {
      copy.submit(connection as unknown as pg.Connection);
      setImmediate(() => copy.handleCopyInResponse(connection));
      return copy;
    },
  });
  const copy = new CopyChunk(client as unknown as pg.Client, {
    ...{ table: 0, label: 'dbo.t', partition: 0, chunk: 0, lower: null, retries: 0 },
    ...{ before: [], copy: 'COPY t FROM STDIN', text: null, hash: null },
  });
  await copy.begin();
  slow = true;
  let free = false;
  const written = copy.write(Buffer.alloc(1000), 0, 1000, 0).then(() => {
    free = true;
  });
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(leave !== null && stream.writableLength >= 1000);
  assert.equal(free, false);
  assert.ok(copy.waitingSinceMs !== null, 'the server is waited for');
  slow = false;
  (leave as () => void)();
  await written;
  assert.deepEqual([stream.writableLength, copy.waitingSinceMs], [0, null]);
});
