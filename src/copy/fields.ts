/**
 * The binary COPY representations this program writes. Used on every thread.
 */

/** Each is what PostgreSQL's `<name>_recv` reads and `<name>_send` writes. */
export const COPY_FIELDS = [
  'bool',
  'int2',
  'int4',
  'int8',
  'float4',
  'float8',
  'numeric',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'uuid',
  'bytea',
  'text',
  'bpchar',
] as const;

export type CopyField = (typeof COPY_FIELDS)[number];
