/**
 * The ledger's tables in the target: what was done of which run, written together with what was done.
 *
 * Runs on the main thread. Chunks of UNLOGGED tables are entered in an UNLOGGED table: a crash of the server empties
 * both at once, so that the ledger never tells of rows that are gone.
 */
import { AppError } from '../errors.js';
import { existingRelations, schemaRights } from '../target/catalog.js';
import { inTransaction, type TargetConnection } from '../target/connection.js';
import { LEDGER_SCHEMA } from '../target/identifiers.js';

export const LEDGER = LEDGER_SCHEMA;

/** Raised with every change of the tables below. */
const VERSION = 4;

const CREATE_REMEDY = `CREATE SCHEMA ${LEDGER} AUTHORIZATION the target role, or GRANT CREATE ON DATABASE to it.`;

const UPGRADE_REMEDY = `Run once as the owner of schema ${LEDGER}: its tables must be altered.`;

/** Any number that no other program is likely to lock. */
const CREATE_LOCK = 7_135_482_019;

/** Who reads a partition of a shared run, and the how manieth that is: chunks of an earlier one are refused. */
const CLAIMS = `CREATE TABLE ${LEDGER}.claims (
  run_id uuid NOT NULL,
  table_name text NOT NULL,
  partition integer NOT NULL,
  claim integer NOT NULL,
  job uuid NOT NULL,
  session integer NOT NULL,
  session_started timestamptz NOT NULL,
  claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (run_id, table_name, partition)
);`;

const TABLES = `
CREATE TABLE ${LEDGER}.version (version integer NOT NULL);
CREATE TABLE ${LEDGER}.runs (
  run_id uuid PRIMARY KEY,
  attempt integer NOT NULL,
  config_hash text NOT NULL,
  mode text NOT NULL,
  status text NOT NULL,
  tool_version text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  error json,
  name text UNIQUE
);
CREATE INDEX ON ${LEDGER}.runs (config_hash, started_at);
CREATE TABLE ${LEDGER}.tables (
  run_id uuid NOT NULL,
  table_name text NOT NULL,
  target_schema text NOT NULL,
  target_name text NOT NULL,
  target_oid oid NOT NULL,
  fingerprint text NOT NULL,
  unlogged boolean NOT NULL,
  status text NOT NULL,
  total_rows bigint NOT NULL,
  notes json NOT NULL,
  error json,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (run_id, table_name)
);
CREATE TABLE ${LEDGER}.partitions (
  run_id uuid NOT NULL,
  table_name text NOT NULL,
  partition integer NOT NULL,
  lower json,
  upper json,
  retries integer NOT NULL,
  planned boolean NOT NULL,
  of_partition integer,
  of_chunk integer,
  PRIMARY KEY (run_id, table_name, partition)
);
CREATE TABLE ${LEDGER}.chunks (
  run_id uuid NOT NULL,
  table_name text NOT NULL,
  partition integer NOT NULL,
  chunk integer NOT NULL,
  lower json,
  upper json,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  digest text,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  duration_ms integer,
  retries integer NOT NULL DEFAULT 0,
  moved_to integer,
  inserted bigint,
  updated bigint,
  deleted bigint,
  by_key boolean NOT NULL DEFAULT false,
  PRIMARY KEY (run_id, table_name, partition, chunk)
);
CREATE UNLOGGED TABLE ${LEDGER}.unlogged_chunks (LIKE ${LEDGER}.chunks INCLUDING ALL);
${CLAIMS}
COMMENT ON COLUMN ${LEDGER}.runs.name IS 'of a run that several hosts share: what they call it';
COMMENT ON COLUMN ${LEDGER}.chunks.lower IS 'JSON array of exact key texts; keys of the chunk are greater';
COMMENT ON COLUMN ${LEDGER}.chunks.upper IS 'JSON array of exact key texts; keys of the chunk are not greater';
COMMENT ON COLUMN ${LEDGER}.chunks.moved_to IS 'not committed: its keys were read again as this partition';
COMMENT ON COLUMN ${LEDGER}.chunks.digest IS 'CRC-32 of the binary COPY tuples';
COMMENT ON COLUMN ${LEDGER}.chunks.inserted IS 'rows of a merge that were new in the target; null where a chunk was loaded';
COMMENT ON COLUMN ${LEDGER}.chunks.by_key IS 'the rows of single keys: lower is the first of them, upper the last';
COMMENT ON COLUMN ${LEDGER}.partitions.of_partition IS 'with of_chunk: the chunk whose keys these are';
INSERT INTO ${LEDGER}.version VALUES (${VERSION});`;

/** From each older version to the next one. */
const UPGRADES: Record<number, string> = {
  1: `ALTER TABLE ${LEDGER}.partitions ADD COLUMN of_partition integer, ADD COLUMN of_chunk integer;
UPDATE ${LEDGER}.partitions p SET of_partition = c.partition, of_chunk = c.chunk
  FROM (SELECT * FROM ${LEDGER}.chunks UNION ALL SELECT * FROM ${LEDGER}.unlogged_chunks) AS c
  WHERE c.run_id = p.run_id AND c.table_name = p.table_name AND c.moved_to = p.partition;
ALTER TABLE ${LEDGER}.chunks ADD COLUMN inserted bigint, ADD COLUMN updated bigint, ADD COLUMN deleted bigint,
  ADD COLUMN by_key boolean NOT NULL DEFAULT false;
ALTER TABLE ${LEDGER}.unlogged_chunks ADD COLUMN inserted bigint, ADD COLUMN updated bigint, ADD COLUMN deleted bigint,
  ADD COLUMN by_key boolean NOT NULL DEFAULT false;
UPDATE ${LEDGER}.version SET version = 2;`,
  2: `ALTER TABLE ${LEDGER}.runs ADD COLUMN name text UNIQUE;
${CLAIMS}
UPDATE ${LEDGER}.version SET version = 3;`,
  3: `ALTER TABLE ${LEDGER}.claims ADD COLUMN IF NOT EXISTS claimed_at timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE ${LEDGER}.version SET version = 4;`,
};

/** Keys as JSON: not jsonb, which knows no U+0000. */
export function json(key: readonly string[] | null): string | null {
  return key === null ? null : JSON.stringify(key);
}

/** @returns the table that holds the chunks of a logged or unlogged target table. */
export function chunkTable(unlogged: boolean): string {
  return `${LEDGER}.${unlogged ? 'unlogged_chunks' : 'chunks'}`;
}

/**
 * What ledgers of older versions lack, for what only reads and must alter nothing. In front of a `LATERAL (SELECT ...)`
 * a name that its own tables do not have, and that is written without theirs, finds NULL here.
 */
export const OLDER = {
  runs: '(SELECT NULL::text AS name) AS older',
  partitions: '(SELECT NULL::integer AS of_partition, NULL::integer AS of_chunk) AS older',
  chunks: `(SELECT NULL::bigint AS inserted, NULL::bigint AS updated, NULL::bigint AS deleted,
    false AS by_key) AS older`,
};

/** Both chunk tables as one. */
export const ALL_CHUNKS = `(SELECT * FROM ${chunkTable(false)} UNION ALL SELECT * FROM ${chunkTable(true)})`;

/** @returns whether the ledger is there; makes nothing. */
export async function ledgerExists(target: TargetConnection): Promise<boolean> {
  const [row] = await target.query<{ there: boolean }>(
    // Asked of the catalog, which answers roles without rights on the schema, too.
    `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = '${LEDGER}' AND c.relname = 'version') AS there`,
  );
  return row?.there === true;
}

/**
 * Makes the ledger's tables where they are missing, and brings older ones up to date.
 *
 * @throws AppError STATE_INVALID where a newer version of this program made them, TARGET_PERMISSION
 */
export async function ensureLedger(target: TargetConnection): Promise<void> {
  if (!(await ledgerExists(target))) {
    try {
      await inTransaction(target, async () => {
        await target.query('SELECT pg_advisory_xact_lock($1)', [CREATE_LOCK]);
        if (await ledgerExists(target)) return;
        // IF NOT EXISTS alone would ask for CREATE on the database even where an administrator has made the schema.
        const [row] = await target.query<{ there: boolean }>(
          `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '${LEDGER}') AS there`,
        );
        await target.query(`${row?.there === true ? '' : `CREATE SCHEMA ${LEDGER};`}${TABLES}`);
      });
    } catch (error) {
      throw refused(error, CREATE_REMEDY);
    }
  }
  if ((await knownVersion(target)) !== VERSION) await upgrade(target);
}

/**
 * @returns the version of the ledger that is there
 * @throws AppError STATE_INVALID where it is newer than this program, TARGET_PERMISSION
 */
export async function knownVersion(target: TargetConnection): Promise<number> {
  const found = await versionOf(target);
  if (found !== undefined && (found === VERSION || UPGRADES[found] !== undefined)) return found;
  throw new AppError(
    'STATE_INVALID',
    `The ledger in schema ${LEDGER} has version ${found}; this program knows version ${VERSION}`,
    { remedy: 'Use the version of the program that made it.' },
  );
}

async function versionOf(target: TargetConnection): Promise<number | undefined> {
  try {
    const [row] = await target.query<{ version: number }>(`SELECT version FROM ${LEDGER}.version`);
    return row?.version;
  } catch (error) {
    throw refused(
      error,
      `GRANT USAGE ON SCHEMA ${LEDGER} and GRANT ALL ON ALL TABLES IN SCHEMA ${LEDGER} TO the target role.`,
    );
  }
}

async function upgrade(target: TargetConnection): Promise<void> {
  try {
    await inTransaction(target, async () => {
      await target.query('SELECT pg_advisory_xact_lock($1)', [CREATE_LOCK]);
      for (;;) {
        const step = UPGRADES[await knownVersion(target)];
        if (step === undefined) return;
        await target.query(step);
      }
    });
  } catch (error) {
    throw refused(error, UPGRADE_REMEDY);
  }
}

/**
 * Looks whether a run could use the ledger, and makes nothing.
 *
 * @returns what a run would change of a ledger that is there, or null
 * @throws AppError as `ensureLedger` would
 */
export async function checkLedger(target: TargetConnection): Promise<string | null> {
  const there = await ledgerExists(target);
  const version = there ? await knownVersion(target) : VERSION;
  if (there && version === VERSION) return null;
  const [rights] = await schemaRights(target, [LEDGER]);
  if (rights?.mayCreate !== true) {
    const what = rights?.exists === true ? `tables in schema ${LEDGER}` : `schema ${LEDGER}`;
    const error = new AppError('TARGET_PERMISSION', `the target role may not create ${what}`);
    throw refused(error, there ? UPGRADE_REMEDY : CREATE_REMEDY);
  }
  if (!there) return null;
  const tables = ['version', 'runs', 'tables', 'partitions', 'chunks', 'unlogged_chunks', 'claims'];
  const relations = await existingRelations(
    target,
    tables.map((name) => ({ schema: LEDGER, name })),
  );
  if (relations.some(({ owned }) => !owned)) {
    const what = `the target role does not own the tables in schema ${LEDGER}`;
    throw refused(new AppError('TARGET_PERMISSION', what), UPGRADE_REMEDY);
  }
  return `a run would bring the ledger in schema ${LEDGER} from version ${version} to version ${VERSION}`;
}

/** @returns a missing right on the ledger with its remedy, or the error as it is. */
function refused(error: unknown, remedy: string): unknown {
  if (!(error instanceof AppError) || error.code !== 'TARGET_PERMISSION') return error;
  return new AppError('TARGET_PERMISSION', `The ledger of runs can't be used: ${error.message}`, {
    remedy,
    cause: error,
  });
}
