/**
 * The frame of PostgreSQL's binary COPY format around the tuples, and its limits.
 *
 * A tuple is an int16 field count, then per field an int32 length (or -1 for NULL) and the bytes; all integers
 * are big-endian. Used by reader and writer workers.
 */

export type { CopyField } from './fields.js';

/** Signature, flags 0 (no OIDs), header extension length 0: what comes before the first tuple. */
export const COPY_HEADER: Buffer = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** An int16 -1 where a field count would be: what comes after the last tuple. */
export const COPY_TRAILER: Buffer = Buffer.from([0xff, 0xff]);

/** The int32 length that stands for NULL; no bytes follow it. */
export const NULL_FIELD_LENGTH = -1;

/** Bytes of the field count before each tuple's fields. */
export const TUPLE_HEADER_BYTES = 2;

/** Bytes of the length before each field's bytes. */
export const FIELD_HEADER_BYTES = 4;

/**
 * Most bytes one field may have. PostgreSQL allocates at most 1 GiB - 1 byte for one value (`MaxAllocSize`), and
 * keeps a text or bytea together with its four byte varlena header, so the value itself may have that much less.
 */
export const MAX_FIELD_BYTES: number = 0x3fffffff - 4;

/** Most bytes of a row: PostgreSQL puts it together in one allocation before it stores long values apart. */
export const MAX_ROW_BYTES: number = 0x3fffffff;

/** Bytes such a row has beside its fields, at most: its headers, a bit for each NULL, the row hash. */
export function rowOverheadBytes(fields: number): number {
  return 96 + Math.ceil(fields / 8);
}

/** Bytes such a row has beside a field's own, at most: its length and what aligns it. */
export const FIELD_OVERHEAD_BYTES = 8;
