/**
 * Binary COPY by hand, so that PostgreSQL itself judges the fields the encoders write. Test process, main thread.
 */
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import copyStreams from 'pg-copy-streams';
import { COPY_HEADER, COPY_TRAILER } from '../../src/copy/frame.js';

/** @returns a field's bytes behind its length prefix; null is NULL */
export function framed(content: Buffer | null): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(content === null ? -1 : content.length);
  return content === null ? prefix : Buffer.concat([prefix, content]);
}

/** @returns the tuple of whole fields, length prefixes included */
export function tuple(fields: Buffer[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  return Buffer.concat([count, ...fields]);
}

/** Loads tuples into `target` (a table name, with or without columns) by COPY ... BINARY. */
export async function loadTuples(client: pg.Client, target: string, tuples: Buffer[]): Promise<void> {
  const stream = client.query(copyStreams.from(`COPY ${target} FROM STDIN (FORMAT binary)`));
  for (const bytes of [COPY_HEADER, ...tuples, COPY_TRAILER]) stream.write(bytes);
  stream.end();
  await finished(stream);
}

/** Loads text COPY data into `target`. */
export async function loadText(client: pg.Client, target: string, pieces: Buffer[]): Promise<void> {
  const stream = client.query(copyStreams.from(`COPY ${target} FROM STDIN`));
  for (const bytes of pieces) stream.write(bytes);
  stream.end();
  await finished(stream);
}

/** @returns the bytes of a COPY ... TO STDOUT statement */
export async function readCopy(client: pg.Client, statement: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of client.query(copyStreams.to(statement))) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** @returns an encoder's output: a Buffer over shared memory, as in a ring slot, and its view */
export function sharedOut(bytes: number): { out: Buffer; view: DataView } {
  const memory = new SharedArrayBuffer(bytes);
  return { out: Buffer.from(memory), view: new DataView(memory) };
}
