/**
 * *PostgreSQL alone*: the very tuples the product would send, encoded beforehand, over the same number of connections.
 * What it takes is the limit of any tool that loads by binary COPY.
 *
 * A process of its own; one thread serves all connections, since all it does is hand buffers to sockets.
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { COPY_HEADER, COPY_TRAILER } from '../../src/copy/frame.js';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';
import { Chunks, copyOf, type Frame, numbered, type Piece, readFrames } from './frames.js';

export interface CopyRequest {
  target: pg.ClientConfig;
  postmaster: number | null;
  /** The query that gives the tuples to send, over and over, their Ids counting on. */
  select: string;
  /** `COPY ... FROM STDIN (FORMAT binary)`. */
  copy: string;
  rows: number;
  connections: number;
  /** Rows of a transaction. */
  chunkRows: number;
}

/** Frames a connection has under way. */
const IN_FLIGHT = 4;

serve<CopyRequest>(async (request) => {
  const marks = new Marks(request.postmaster);
  const clients = await Promise.all(
    Array.from({ length: request.connections }, async () => {
      const client = new pg.Client(request.target);
      await client.connect();
      return client;
    }),
  );
  const frames = await readFrames(clients[0]!, request.select);
  const chunks = new Chunks(frames, request.rows, request.chunkRows);
  let committed = 0;
  marks.add('transfer');
  await Promise.all(
    clients.map(async (client) => {
      const own = copyOf(frames);
      for (let chunk = chunks.take(); chunk.length > 0; chunk = chunks.take()) {
        await client.query('BEGIN');
        await sendChunk(client, request.copy, own, chunk);
        await client.query('COMMIT');
        committed += chunk.reduce((sum, { rows }) => sum + rows, 0);
        marks.progress(committed);
      }
    }),
  );
  marks.add('loaded', committed);
  await Promise.all(clients.map((client) => client.end()));
  return marks.report();
});

async function sendChunk(client: pg.Client, copy: string, frames: Frame[], chunk: Piece[]): Promise<void> {
  const stream = client.query(copyFrom(copy));
  const loaded = new Promise<void>((resolve, reject) => {
    stream.once('error', reject).once('finish', resolve);
  });
  loaded.catch(() => {});
  // Its callback comes when PostgreSQL is ready for rows. They then go past pg-copy-streams, framed already.
  await new Promise<void>((resolve, reject) => {
    stream.write(COPY_HEADER, (error) => (error ? reject(error) : resolve()));
  });
  const socket = client.connection.stream as Socket;
  const underWay: Promise<void>[] = [];
  for (const { frame: index, firstId, rows } of chunk) {
    const frame = frames[index]!;
    await frame.underWay;
    const bytes = numbered(frame, firstId, rows);
    frame.underWay = new Promise((resolve) => socket.write(bytes, () => resolve()));
    underWay.push(frame.underWay);
    if (underWay.length > IN_FLIGHT) await underWay.shift();
  }
  stream.write(COPY_TRAILER);
  stream.end();
  await loaded;
}
