/**
 * *pgloader*: Debian's, with its defaults, reading the table through FreeTDS into one that is there already. A process
 * of its own; the program is its child.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';
import type { PeerRequest } from './peer.js';
import { runProgram } from './program.js';

/** TDS 7.4, and text as UTF-8 whatever the locale is. */
const FREETDS = '[global]\n\ttds version = 7.4\n\tclient charset = UTF-8\n\ttext size = 2147483647\n';

serve<PeerRequest>(async ({ source, target, postmaster, directory, from, into, rows }) => {
  const folder = join(directory, 'pgloader');
  const commands = join(folder, 'commands.load');
  const freetds = join(folder, 'freetds.conf');
  mkdirSync(folder, { recursive: true });
  writeFileSync(freetds, FREETDS);
  writeFileSync(
    commands,
    `LOAD DATABASE
  FROM mssql://${source.user}:${source.password}@${source.host}:${source.port}/${source.database}
  INTO postgresql://${target.user}@${target.host}:${target.port}/${target.database}
  WITH data only, create no tables, no truncate, reset no sequences, quote identifiers
  ALTER TABLE NAMES MATCHING '${from}' IN SCHEMA 'dbo' RENAME TO '${into.name}'
  ALTER SCHEMA 'dbo' RENAME TO '${into.schema}';\n`,
    { mode: 0o600 },
  );
  const marks = new Marks(postmaster);
  marks.add('transfer');
  await runProgram('pgloader', ['--quiet', '--root-dir', join(folder, 'root'), commands], {
    FREETDSCONF: freetds,
    TDSPORT: String(source.port),
    PGPASSWORD: target.password,
  });
  marks.add('loaded', rows);
  return marks.report();
});
