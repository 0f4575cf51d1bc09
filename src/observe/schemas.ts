/**
 * What every command's `--output-json` line has in common, the lines of a run, and those of `--progress`.
 *
 * Main thread. The types of results are those of these schemas, and the JSON Schemas in `schemas/` are generated
 * from them: code, documentation and what a scheduler may rely on can't differ.
 */
import * as v from 'valibot';
import type { RunPhase, TableStatus } from '../engine/events.js';
import { ERROR_CODES, EXIT } from '../errors.js';

/** @returns the schema with what it means, for the JSON Schema. */
export function says<Schema extends v.GenericSchema>(schema: Schema, text: string) {
  return v.pipe(schema, v.description(text));
}

export const wholeSchema = v.pipe(v.number(), v.integer(), v.minValue(0));
export const secondsSchema = says(v.pipe(v.number(), v.minValue(0)), 'Seconds.');
export const timeSchema = says(v.pipe(v.string(), v.isoTimestamp()), 'Time in UTC, ISO 8601.');
export const sourceTableSchema = says(v.string(), 'schema.table of the source.');
export const targetTableSchema = says(v.string(), 'schema.table of the target.');
/** Counts that a JavaScript number might not hold. */
export const countSchema = says(
  v.union([v.pipe(v.number(), v.integer()), v.pipe(v.string(), v.regex(/^-?\d+$/))]),
  'A number; as text where it is too large to be exact as one.',
);

export const resultErrorSchema = v.strictObject({
  code: says(v.picklist(ERROR_CODES), 'What went wrong; match on this, never on the message.'),
  message: says(v.string(), 'What went wrong, in words.'),
  remedy: says(v.nullable(v.string()), 'What a person can do about it.'),
  exit_code: says(v.picklist(Object.values(EXIT)), 'The exit code this error has.'),
  recoverable: says(
    v.boolean(),
    'True where the same command may succeed later without anyone changing anything.',
  ),
  table: v.optional(sourceTableSchema),
  column: v.optional(says(v.string(), 'Column of the source.')),
  key: v.optional(says(v.string(), 'Key of the row.')),
  server_code: v.optional(
    says(v.string(), "The server's own code: SQLSTATE, or error number of SQL Server."),
  ),
});
export type ResultError = v.InferOutput<typeof resultErrorSchema>;

/** The fields every command's result begins with. */
export const headEntries = {
  run_id: says(
    v.nullable(v.string()),
    'The run or verification; null where the command failed before there was one, or has none.',
  ),
  command: says(v.nullable(v.string()), 'The command; null where none was given.'),
  status: v.picklist(['success', 'failed', 'cancelled']),
  started_at: timeSchema,
  finished_at: timeSchema,
  duration_seconds: secondsSchema,
  error: says(v.nullable(resultErrorSchema), 'Why the command did not succeed; null where it did.'),
};
export type ResultHead = v.InferOutput<v.StrictObjectSchema<typeof headEntries, undefined>>;

/** A command that had nothing to show but its error. */
export const failureSchema = v.strictObject({
  ...headEntries,
  status: v.picklist(['failed', 'cancelled']),
  error: resultErrorSchema,
  tables: says(v.pipe(v.array(v.unknown()), v.maxLength(0)), 'Always empty: no table was begun.'),
  failed_tables: says(v.pipe(v.array(v.string()), v.maxLength(0)), 'Always empty.'),
});

const leftOutSchema = v.strictObject({
  kind: says(v.string(), 'index, check, default, foreign key, ...'),
  name: v.string(),
  definition: says(v.nullable(v.string()), 'Its T-SQL, where it is an expression.'),
  reason: says(v.string(), 'Why the target does not get it.'),
});
export const leftOutEntries = {
  left_out: says(v.array(leftOutSchema), 'What the source has of the table and the target does not get.'),
};

const TABLE_STATUSES = [
  'success',
  'failed',
  'interrupted',
  'skipped',
  'planned',
] as const satisfies TableStatus[];

export const tableResultSchema = v.strictObject({
  table: sourceTableSchema,
  target: targetTableSchema,
  status: says(
    v.picklist(TABLE_STATUSES),
    'interrupted: begun, and can be resumed; skipped: never begun; planned: of a dry run.',
  ),
  rows: says(wholeSchema, 'Rows committed in the target.'),
  bytes: says(wholeSchema, 'Bytes of COPY data committed.'),
  duration_seconds: secondsSchema,
  rows_per_second: wholeSchema,
  retries: says(wholeSchema, 'How often something of it was tried again.'),
  changes: v.optional(
    says(
      v.strictObject({
        inserted: wholeSchema,
        updated: wholeSchema,
        deleted: wholeSchema,
        extra: says(wholeSchema, 'Rows only the target has, left where they are.'),
      }),
      'upsert into a table that had rows: what was found to do.',
    ),
  ),
  ...leftOutEntries,
  notes: says(v.array(v.string()), 'What the mapping loses or changes, and what else to know.'),
  error: v.optional(resultErrorSchema),
});
export type TableResult = v.InferOutput<typeof tableResultSchema>;

const stepSchema = v.strictObject({
  step: says(v.string(), 'primary key, index, foreign key, analyze, ...'),
  table: sourceTableSchema,
  name: v.string(),
  duration_seconds: secondsSchema,
  error: v.optional(resultErrorSchema),
});

export const runEntries = {
  ...headEntries,
  tables_total: wholeSchema,
  tables_success: wholeSchema,
  tables_failed: wholeSchema,
  rows_transferred: says(wholeSchema, 'Rows committed, of all tables.'),
  bytes: says(wholeSchema, 'Bytes of COPY data committed, of all tables.'),
  rows_per_second: says(wholeSchema, "Rows by the command's whole duration."),
  retries: says(wholeSchema, 'How often something was tried again, of all tables.'),
  tables: v.array(tableResultSchema),
  failed_tables: v.array(sourceTableSchema),
  steps: says(v.array(stepSchema), 'What was done once to a table, beside moving its rows.'),
  notes: v.array(v.string()),
};
export const runSchema = v.strictObject(runEntries);
export type RunResult = v.InferOutput<typeof runSchema>;

const PHASES = [
  'connect',
  'plan',
  'prepare',
  'transfer',
  'finalize',
  'verify',
  'done',
] as const satisfies RunPhase[];

/** One JSON line of `--progress`. */
export const progressLineSchema = v.strictObject({
  timestamp: timeSchema,
  phase: v.picklist(PHASES),
  table: says(v.nullable(sourceTableSchema), 'null on the line for the whole run.'),
  rows_transferred: says(wholeSchema, 'Rows sent to the target so far, those not committed yet among them.'),
  rows_committed: says(wholeSchema, 'Rows that are in the target for good.'),
  bytes_transferred: says(wholeSchema, 'Bytes of COPY data sent so far; 0 where rows are compared.'),
  tables_completed: wholeSchema,
  tables_total: wholeSchema,
  total_rows: says(wholeSchema, "Rows there are, by the source's catalog: close, not exact."),
  rows_per_second: says(wholeSchema, 'Over the last seconds.'),
  eta_seconds: says(
    v.nullable(v.pipe(v.number(), v.minValue(0))),
    'Time left at this pace; null while unknown.',
  ),
  waiting_for: says(
    v.nullable(v.picklist(['source', 'reader', 'hasher', 'writer', 'target'])),
    'What rows wait for: a server, or the part of this program that has most to do; null where nothing moves.',
  ),
  current_table: v.nullable(sourceTableSchema),
  table_status: says(
    v.nullable(v.picklist(['running', 'completed', 'failed'])),
    'null on the line for the run.',
  ),
});
export type ProgressLine = v.InferOutput<typeof progressLineSchema>;
