/**
 * The questions of `init --advanced`: how rows are read, what is made after them, how large the run is.
 *
 * Runs on the main thread.
 */
import type { GivenValue } from '../../config/document.js';
import type { Config } from '../../config/schema.js';
import { inspectHost } from '../../host/host.js';
import { chooseSizes, type SizeName } from '../../host/sizes.js';
import { textTable } from '../../observe/format.js';
import type { Prompts } from './prompts.js';

/** Keys that follow from the host where they are not given, and the size each decides. */
const SIZE_KEYS = {
  workers: 'workers',
  chunk_size: 'chunkRows',
  parallel_readers: 'parallelReaders',
  write_ahead_writers: 'writeAheadWriters',
  read_ahead_buffers: 'readAheadBuffers',
  max_mssql_connections: 'maxSourceConnections',
  max_pg_connections: 'maxTargetConnections',
} as const satisfies Record<string, SizeName>;

/** What this host would choose, by dotted path. */
export type HostSizes = Record<string, { value: number; why: string }>;

export async function hostSizes(config: Config): Promise<HostSizes> {
  const sizes = chooseSizes(await inspectHost(), config);
  return Object.fromEntries(
    Object.entries(SIZE_KEYS).map(([key, name]) => [
      `migration.${key}`,
      { value: sizes[name], why: sizes.reasons[name] },
    ]),
  );
}

/** How rows are read: keys of `source`. */
export async function askReads(
  prompts: Prompts,
  snapshotAllowed: boolean,
): Promise<Record<string, GivenValue>> {
  const isolation = await prompts.choose('Isolation of reads', [
    { value: 'read_committed', label: 'read_committed', hint: 'works everywhere' },
    {
      value: 'snapshot',
      label: 'snapshot',
      hint: snapshotAllowed ? 'one moment for a read, no locks' : 'this database does not allow it yet',
    },
    { value: 'read_uncommitted', label: 'read_uncommitted', hint: 'NOLOCK: rows may be missing or doubled' },
  ]);
  const intent = await prompts.choose('Which replica of an availability group is read', [
    { value: 'read_write', label: 'read_write', hint: 'the primary; so too where there is no group' },
    { value: 'read_only', label: 'read_only', hint: 'the listener may give a readable secondary' },
  ]);
  return { isolation, application_intent: intent };
}

export async function askMigration(prompts: Prompts, sizes: HostSizes): Promise<Record<string, GivenValue>> {
  const given: Record<string, GivenValue> = {};
  const objects = {
    indexes: 'indexes',
    foreign_keys: 'foreign keys',
    check_constraints: 'check constraints',
  };
  const made = await prompts.chooseMany(
    'Made after the rows, besides primary keys',
    Object.entries(objects).map(([value, label]) => ({ value, label })),
    Object.keys(objects),
    true,
  );
  for (const name of Object.keys(objects)) given[`create_${name}`] = made.includes(name);
  given.on_nul = await prompts.choose("A NUL character in text, which PostgreSQL can't store", [
    { value: 'error', label: 'error', hint: 'the row is refused and named' },
    { value: 'strip', label: 'strip', hint: 'the character is left out' },
    { value: 'replace', label: 'replace', hint: 'U+FFFD is written instead' },
  ]);
  given.use_unlogged_tables = await prompts.confirm(
    'Load into UNLOGGED tables (faster; a crash of PostgreSQL empties them until the end of the run)?',
    false,
  );
  prompts.info(
    `Sizes this host would choose\n${textTable(
      [{ title: 'key' }, { title: 'value', align: 'right' }, { title: 'why' }],
      Object.entries(sizes).map(([path, { value, why }]) => [
        path.slice('migration.'.length),
        String(value),
        why,
      ]),
    )}`,
  );
  const fixed = await prompts.chooseMany(
    'Sizes to fix in the file; the others follow the host a run is on',
    Object.entries(sizes).map(([path, { value }]) => ({
      value: path.slice('migration.'.length),
      label: path.slice('migration.'.length),
      hint: String(value),
    })),
    [],
    true,
  );
  for (const key of fixed) {
    const answer = await prompts.text({
      message: key,
      initial: String(sizes[`migration.${key}`]?.value ?? ''),
      check: (text) => (/^[1-9]\d{0,7}$/.test(text) ? undefined : 'Give a whole number.'),
    });
    given[key] = Number(answer);
  }
  return given;
}
