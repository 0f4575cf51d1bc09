/**
 * Tuples encoded beforehand, in pieces of the size the product's slots have. Used by *PostgreSQL alone*.
 */
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { splitTuples } from '../tuples.js';

const FRAME_BYTES = 256 * 1024;
const CHUNK_BYTES = 128 * 1024 * 1024;
/** The first field of a tuple: behind the field count and its own length. */
const ID_AT = 6;

/** What comes before the tuples of a CopyData message: `d`, and an int32 length. */
const MESSAGE_HEADER_BYTES = 5;

/** Consecutive tuples as they are sent: a CopyData message. */
export interface Frame {
  bytes: Buffer;
  /** Where each tuple begins in the message; one more for the end. */
  starts: Int32Array;
  firstRow: number;
  underWay: Promise<void> | null;
}

/** A frame of a chunk, the Id of its first row, and its rows: all but the very last are whole. */
export interface Piece {
  frame: number;
  firstId: number;
  rows: number;
}

/** @returns the tuples of a query as frames. */
export async function readFrames(client: pg.Client, select: string): Promise<Frame[]> {
  const pieces: Buffer[] = [];
  for await (const piece of client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT binary)`))) {
    pieces.push(piece as Buffer);
  }
  const { tuples } = splitTuples(Buffer.concat(pieces));
  const frames: Frame[] = [];
  for (let row = 0; row < tuples.length; ) {
    const firstRow = row;
    let bytes = MESSAGE_HEADER_BYTES;
    const starts = [bytes];
    while (row < tuples.length && (row === firstRow || bytes + tuples[row]!.length <= FRAME_BYTES)) {
      bytes += tuples[row]!.length;
      starts.push(bytes);
      row++;
    }
    frames.push({
      bytes: Buffer.concat([Buffer.from('d\0\0\0\0'), ...tuples.slice(firstRow, row)]),
      starts: Int32Array.from(starts),
      firstRow,
      underWay: null,
    });
  }
  return frames;
}

/** Each connection changes the Ids in frames of its own. */
export function copyOf(frames: readonly Frame[]): Frame[] {
  return frames.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes) }));
}

/** Gives the frame's first `rows` tuples their Ids. @returns the message to send. */
export function numbered({ bytes, starts }: Frame, firstId: number, rows: number): Buffer {
  for (let row = 0; row < rows; row++) bytes.writeInt32BE(firstId + row, starts[row]! + ID_AT);
  const end = starts[rows]!;
  bytes.writeInt32BE(end - 1, 1);
  return bytes.subarray(0, end);
}

/** Deals a table out in chunks: of `chunkRows` rows or 128 MiB, whichever comes first, like the product's. */
export class Chunks {
  readonly #frames: readonly Frame[];
  readonly #tuples: number;
  readonly #rows: number;
  readonly #chunkRows: number;
  #next = 0;

  constructor(frames: readonly Frame[], rows: number, chunkRows: number) {
    this.#frames = frames;
    this.#tuples = frames.reduce((sum, { starts }) => sum + starts.length - 1, 0);
    this.#rows = rows;
    this.#chunkRows = chunkRows;
  }

  /** @returns the next chunk; empty at the end. */
  take(): Piece[] {
    const chunk: Piece[] = [];
    let rows = 0;
    let bytes = 0;
    while (this.#next < this.#rows && rows < this.#chunkRows && bytes < CHUNK_BYTES) {
      const frame = this.#frames.findLastIndex(({ firstRow }) => firstRow <= this.#next % this.#tuples);
      const { starts } = this.#frames[frame]!;
      const count = Math.min(starts.length - 1, this.#rows - this.#next);
      chunk.push({ frame, firstId: this.#next + 1, rows: count });
      this.#next += count;
      rows += count;
      bytes += starts[count]!;
    }
    return chunk;
  }
}
