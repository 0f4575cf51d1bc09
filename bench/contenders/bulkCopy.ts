/**
 * *FreeTDS and psql*: `freebcp` writes the table into a file, `psql` loads the file, as one would do with what Debian
 * has. A process of its own; the two programs are its children.
 *
 * freebcp escapes nothing, so that only tables without text can go this way.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type pg from 'pg';
import type { SqlServerConnection } from '../../test/support/tsql.js';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';

export interface BulkCopyRequest {
  source: SqlServerConnection;
  target: Required<Pick<pg.ClientConfig, 'host' | 'port' | 'user' | 'database'>> & { password: string };
  postmaster: number | null;
  /** Folder for the file. */
  directory: string;
  /** The table in the source, in schema dbo, and the one to load. */
  from: string;
  into: string;
  rows: number;
}

serve<BulkCopyRequest>(async ({ source, target, postmaster, directory, from, into, rows }) => {
  const marks = new Marks(postmaster);
  const file = join(directory, 'freebcp.txt');
  marks.add('transfer');
  await run(
    'freebcp',
    [
      ...[`dbo.${from}`, 'out', file, '-S', source.host, '-D', source.database, '-U', source.user],
      ...['-P', source.password, '-c', '-t', '\t', '-r', '\n'],
    ],
    { TDSPORT: String(source.port), TDSVER: '7.4' },
  );
  const copy = `\\copy ${into} from '${file}' with (format csv, delimiter E'\\t', null '')`;
  await run('psql', ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--command', copy], {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGUSER: target.user,
    PGPASSWORD: target.password,
    PGDATABASE: target.database,
  });
  marks.add('loaded', rows);
  return marks.report();
});

/** Runs a program to its end; throws what it printed where it fails. */
function run(program: string, args: string[], environment: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...environment } });
    let output = '';
    child.stdout.on('data', (text) => (output = `${output}${text}`.slice(-2000)));
    child.stderr.on('data', (text) => (output = `${output}${text}`.slice(-2000)));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${output.trim()}`)),
    );
  });
}
