/**
 * The `--output-json` line of every command, as schemas and as JSON Schemas.
 *
 * Main thread. `schemas/` at the project's root holds the generated texts; a test holds real output to them.
 */
import { toJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { FINDING_KINDS } from '../plan/scan/finding.js';
import {
  countSchema,
  failureSchema,
  headEntries,
  leftOutEntries,
  progressLineSchema,
  resultErrorSchema,
  runEntries,
  runSchema,
  says,
  secondsSchema,
  sourceTableSchema,
  targetTableSchema,
  timeSchema,
  wholeSchema,
} from './schemas.js';

const keySchema = v.nullable(v.array(v.string()));

const tableBytesSchema = says(
  v.nullable(wholeSchema),
  "Bytes its rows take in the source, by the source's catalog; null where it does not tell.",
);

const scanSchema = v.strictObject({
  tables: wholeSchema,
  rows: says(wholeSchema, 'Rows that were looked at.'),
  duration_seconds: secondsSchema,
  findings: v.array(
    v.strictObject({
      table: sourceTableSchema,
      column: says(v.nullable(v.string()), 'Column of the source; null where it is about several.'),
      object: says(v.nullable(v.string()), 'The index or foreign key it is about.'),
      kind: v.picklist(FINDING_KINDS),
      severity: says(
        v.picklist(['fails', 'alters', 'warns']),
        'fails: the run would not work; alters: it would lose something; warns: good to know.',
      ),
      count: says(wholeSchema, 'Rows; for duplicate keys the keys that several rows would have.'),
      example_key: says(keySchema, 'Key of one of the rows.'),
      effect: says(v.string(), 'What the run would do.'),
      remedy: v.string(),
    }),
  ),
  unscanned: says(
    v.array(v.strictObject({ table: sourceTableSchema, reason: v.string() })),
    'Tables that were not looked at to the end.',
  ),
});
export type ScanResult = v.InferOutput<typeof scanSchema>;

const dryRunSchema = v.strictObject({
  ...runEntries,
  dry_run: v.strictObject({
    mode: v.string(),
    estimate: says(
      v.nullable(
        v.strictObject({
          seconds: secondsSchema,
          rows: wholeSchema,
          bytes: wholeSchema,
          basis: says(v.picklist(['earlier run', 'sample', 'nothing']), 'What was measured for it.'),
          reason: v.string(),
        }),
      ),
      'A guess at the time the rows take; null where nothing could be planned.',
    ),
    scan: says(v.nullable(scanSchema), 'What plan --scan found in the data; null where it did not look.'),
    obstacles: says(v.array(resultErrorSchema), 'What would keep the run from working.'),
    ddl: says(v.string(), 'A script that makes all tables and their objects in an empty database.'),
    tables: v.array(
      v.looseObject({
        table: sourceTableSchema,
        target: targetTableSchema,
        approximate_rows: wholeSchema,
        bytes: tableBytesSchema,
        key_columns: v.array(v.string()),
        primary_key: v.array(v.string()),
        chunk_rows: wholeSchema,
        row_hash_column: v.nullable(v.string()),
        unlogged: v.boolean(),
        columns: v.array(
          v.looseObject({
            source: v.string(),
            target: v.string(),
            source_type: v.string(),
            target_type: v.string(),
            nullable: v.boolean(),
          }),
        ),
        partitions: v.array(v.looseObject({ partition: wholeSchema, lower: keySchema, upper: keySchema })),
        actions: says(v.array(v.string()), 'What would be done to the target first.'),
        ddl: v.array(v.string()),
        ...leftOutEntries,
        notes: v.array(v.string()),
      }),
    ),
    sizes: v.array(
      v.strictObject({ name: v.string(), value: v.number(), unit: v.string(), reason: v.string() }),
    ),
  }),
});

const partitionSchema = v.strictObject({
  table: sourceTableSchema,
  partition: wholeSchema,
  lower: says(keySchema, 'Its keys are greater than this one; null: from the first on.'),
  upper: says(keySchema, '... and not greater than this one; null: to the last.'),
  approximate_rows: wholeSchema,
  approximate_bytes: tableBytesSchema,
});
export type PartitionResult = v.InferOutput<typeof partitionSchema>;

const partitionsSchema = v.strictObject({
  ...headEntries,
  partitions: says(v.array(partitionSchema), 'The ranges that tables are read in: plan --partitions.'),
});

const stateTableSchema = v.strictObject({
  status: v.picklist(['pending', 'in_progress', 'completed', 'failed']),
  total_rows: wholeSchema,
  transferred_rows: wholeSchema,
  skipped_rows: wholeSchema,
  last_pk: v.optional(v.nullable(v.string())),
  partitions: v.optional(
    v.array(
      v.strictObject({
        partition_id: wholeSchema,
        status: v.string(),
        last_pk: v.nullable(v.string()),
        rows_transferred: wholeSchema,
      }),
    ),
  ),
});

const statusSchema = v.strictObject({
  ...headEntries,
  run_status: v.picklist(['running', 'completed', 'failed', 'cancelled']),
  from: says(v.picklist(['ledger', 'state file']), 'Where this was read.'),
  config_hash: v.string(),
  run_started_at: timeSchema,
  run_updated_at: timeSchema,
  tables: says(v.record(v.string(), stateTableSchema), 'By table name.'),
});

const receiptSchema = v.strictObject({
  ...headEntries,
  run_status: v.picklist(['running', 'completed', 'failed', 'cancelled', 'superseded']),
  mode: v.string(),
  config_hash: v.string(),
  tool_version: v.string(),
  attempts: says(wholeSchema, 'Processes that have worked on the run.'),
  run_started_at: timeSchema,
  tables: v.array(
    v.strictObject({
      table: sourceTableSchema,
      target: targetTableSchema,
      status: v.string(),
      rows: wholeSchema,
      notes: v.array(v.string()),
      error: v.optional(v.strictObject({ code: v.string(), message: v.string() })),
      chunks: v.array(
        v.strictObject({
          partition: wholeSchema,
          chunk: wholeSchema,
          after_key: v.optional(says(keySchema, 'Its rows are those behind this key ...')),
          to_key: v.optional(says(keySchema, '... up to this one.')),
          first_key: v.optional(says(keySchema, 'In their place where single keys were asked for.')),
          last_key: v.optional(keySchema),
          rows: wholeSchema,
          inserted: v.optional(says(wholeSchema, 'Rows a merge found missing.')),
          updated: v.optional(says(wholeSchema, 'Rows a merge found different.')),
          deleted: v.optional(says(wholeSchema, 'Rows only the target had.')),
          bytes: wholeSchema,
          digest: says(v.nullable(v.string()), 'CRC-32 of its COPY bytes.'),
          committed_at: timeSchema,
          duration_ms: v.nullable(wholeSchema),
          retries: wholeSchema,
        }),
      ),
    }),
  ),
});

const validateSchema = v.strictObject({
  ...headEntries,
  tables_total: wholeSchema,
  tables_matching: wholeSchema,
  tables_differing: wholeSchema,
  source_rows: countSchema,
  target_rows: countSchema,
  tables: v.array(
    v.strictObject({
      table: sourceTableSchema,
      target: targetTableSchema,
      status: v.picklist(['match', 'differs', 'missing']),
      source_rows: countSchema,
      target_rows: says(v.nullable(countSchema), 'null where the target has no such table.'),
      difference: says(v.nullable(countSchema), 'Target less source.'),
    }),
  ),
});

const verifyTableSchema = v.strictObject({
  table: sourceTableSchema,
  target: targetTableSchema,
  status: v.picklist(['match', 'differs', 'missing', 'failed']),
  method: says(
    v.nullable(v.picklist(['key ranges', 'key hashes', 'whole table'])),
    'How it was compared; null where it was not.',
  ),
  source_rows: v.nullable(countSchema),
  target_rows: v.nullable(countSchema),
  inserts_needed: says(v.nullable(wholeSchema), 'null where rows have no key to be named by.'),
  updates_needed: v.nullable(wholeSchema),
  deletes_needed: v.nullable(wholeSchema),
  details: says(
    v.strictObject({
      inserts: v.array(v.array(v.string())),
      updates: v.array(v.array(v.string())),
      deletes: v.array(v.array(v.string())),
    }),
    "The first keys of each, as many as --details asks for; a key is the list of its columns' texts.",
  ),
  duration_seconds: secondsSchema,
  notes: v.array(v.string()),
  error: v.optional(resultErrorSchema),
});
export type VerifyTableResult = v.InferOutput<typeof verifyTableSchema>;

const verifySchema = v.strictObject({
  ...headEntries,
  tables_total: wholeSchema,
  tables_matching: wholeSchema,
  tables_differing: wholeSchema,
  tables_failed: wholeSchema,
  tables: v.array(verifyTableSchema),
  failed_tables: v.array(sourceTableSchema),
  notes: v.array(v.string()),
});
export type VerifyResult = v.InferOutput<typeof verifySchema>;

const sideSchema = v.strictObject({
  ok: v.boolean(),
  host: v.string(),
  port: wholeSchema,
  database: v.string(),
  schema: says(v.union([v.string(), v.array(v.string())]), 'One name, several, or `*`.'),
  user: v.string(),
  server_version: v.optional(v.string()),
  connect_ms: v.optional(says(v.number(), 'Time to connect and log in.')),
  latency_ms: v.optional(says(v.number(), 'Time of one small query there and back.')),
  facts: v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]))),
  warnings: v.array(v.string()),
  error: v.optional(resultErrorSchema),
});
/** One side's findings. */
export type HealthSide = v.InferOutput<typeof sideSchema>;

const healthCheckSchema = v.strictObject({ ...headEntries, source: sideSchema, target: sideSchema });

const schemaSchema = v.strictObject({
  ...headEntries,
  schema: says(v.record(v.string(), v.unknown()), 'The JSON Schema.'),
});

const initSchema = v.strictObject({
  ...headEntries,
  file: says(v.string(), 'What was written.'),
  template: says(v.boolean(), 'true where nobody could be asked: it is to be filled in.'),
  target_mode: v.nullable(v.string()),
  tables: says(v.nullable(wholeSchema), 'Tables it selects now; null where the source was not asked.'),
});

const completionSchema = v.strictObject({
  ...headEntries,
  shell: v.picklist(['bash', 'zsh', 'fish']),
  script: v.string(),
});

const run = v.union([runSchema, dryRunSchema, failureSchema]);

/** By command; `progress` is a line of `--progress`. */
export const OUTPUT_SCHEMAS = {
  run,
  plan: v.union([dryRunSchema, partitionsSchema, failureSchema]),
  resume: v.union([runSchema, failureSchema]),
  status: v.union([statusSchema, failureSchema]),
  receipt: v.union([receiptSchema, failureSchema]),
  validate: v.union([validateSchema, failureSchema]),
  verify: v.union([verifySchema, failureSchema]),
  'health-check': v.union([healthCheckSchema, failureSchema]),
  init: v.union([initSchema, failureSchema]),
  tui: v.union([v.strictObject(headEntries), runSchema, dryRunSchema, verifySchema, failureSchema]),
  completion: v.union([completionSchema, failureSchema]),
  'config-schema': v.union([schemaSchema, failureSchema]),
  'output-schema': v.union([schemaSchema, failureSchema]),
  progress: progressLineSchema,
} as const;
export type OutputName = keyof typeof OUTPUT_SCHEMAS;
export const OUTPUT_NAMES = Object.keys(OUTPUT_SCHEMAS) as OutputName[];

/** @returns the JSON Schema (draft-07) of a command's line, as indented text ending in a newline. */
export function outputJsonSchema(name: OutputName): string {
  const { $schema, ...schema } = toJsonSchema(OUTPUT_SCHEMAS[name], { typeMode: 'output' });
  const what = name === 'progress' ? 'a line of --progress' : `${name} --output-json`;
  return `${JSON.stringify({ $schema, title: `mssql-pg-migrate: ${what}`, ...schema }, null, 2)}\n`;
}
