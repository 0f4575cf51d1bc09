/**
 * Holds a value whose encoded length is not known until its last byte, so that COPY can be told the length
 * first. Reader thread. Small values stay in memory, large ones go to an unlinked temporary file: memory is
 * bounded whatever the value's size.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../errors.js';

const MEMORY_BYTES = 8 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

export class Spool {
  #pieces: Buffer[] = [];
  #memoryBytes = 0;
  #file: number | null = null;
  #fileBytes = 0;

  /** Bytes held. */
  get size(): number {
    return this.#fileBytes + this.#memoryBytes;
  }

  /** Keeps `bytes`, which must not change afterwards. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#memoryBytes += bytes.length;
    if (this.#memoryBytes > MEMORY_BYTES) this.#spill();
  }

  /** The bytes in order, piece by piece; a piece is valid until the next one is taken. */
  *pieces(): Generator<Buffer, void, void> {
    if (this.#file !== null) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      for (let at = 0; at < this.#fileBytes; ) {
        const read = readSync(this.#file, buffer, 0, Math.min(READ_BYTES, this.#fileBytes - at), at);
        if (read === 0) throw new AppError('IO', 'The temporary file of a large value ended early');
        at += read;
        yield buffer.subarray(0, read);
      }
    }
    yield* this.#pieces;
  }

  /** Frees everything. */
  dispose(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    this.#fileBytes = 0;
    this.#pieces = [];
    this.#memoryBytes = 0;
  }

  #spill(): void {
    try {
      this.#file ??= openUnlinked();
      for (const piece of this.#pieces) {
        for (let at = 0; at < piece.length; ) at += writeSync(this.#file, piece, at, piece.length - at);
      }
    } catch (error) {
      throw new AppError('IO', `A value larger than ${MEMORY_BYTES} bytes could not be kept in ${tmpdir()}`, {
        remedy: 'Free space there, or point TMPDIR to a writable directory with room for the largest value.',
        cause: error,
      });
    }
    this.#fileBytes += this.#memoryBytes;
    this.#pieces = [];
    this.#memoryBytes = 0;
  }
}

/** @returns a file that is gone from its directory already and vanishes when closed, even after a crash. */
function openUnlinked(): number {
  const directory = mkdtempSync(join(tmpdir(), 'mssql-pg-migrate-'));
  try {
    return openSync(join(directory, 'value'), 'w+', 0o600);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
