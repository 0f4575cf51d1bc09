/**
 * *FreeTDS and psql*: `freebcp` writes the table into a file, `psql` loads the file, as one would do with what Debian
 * has. A process of its own; the two programs are its children.
 *
 * freebcp escapes nothing, so that only tables without text can go this way.
 */
import { join } from 'node:path';
import { serve } from '../measure/child.js';
import { Marks } from '../measure/marks.js';
import type { PeerRequest } from './peer.js';
import { runProgram } from './program.js';

serve<PeerRequest>(async ({ source, target, postmaster, directory, from, into, rows }) => {
  const marks = new Marks(postmaster);
  const file = join(directory, 'freebcp.txt');
  marks.add('transfer');
  await runProgram(
    'freebcp',
    [
      ...[`dbo.${from}`, 'out', file, '-S', source.host, '-D', source.database, '-U', source.user],
      ...['-P', source.password, '-c', '-t', '\t', '-r', '\n'],
    ],
    { TDSPORT: String(source.port), TDSVER: '7.4' },
  );
  const copy = `\\copy ${into.schema}.${into.name} from '${file}' with (format csv, delimiter E'\\t', null '')`;
  await runProgram('psql', ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--command', copy], {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGUSER: target.user,
    PGPASSWORD: target.password,
    PGDATABASE: target.database,
  });
  marks.add('loaded', rows);
  return marks.report();
});
