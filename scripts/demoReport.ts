/**
 * What the demonstration prints at its end, for a person to judge; main thread of `scripts/demo`.
 */
import type { PostgresConnection } from '../test/support/postgres.js';
import { postgresUrl } from '../test/support/postgres.js';
import type { ExpectedRows } from '../test/support/rowCounts.js';
import type { SqlServerConnection } from '../test/support/sqlserver.js';
import type { TypeCheck } from '../test/support/typeCheck.js';

export interface ExpectedTable extends ExpectedRows {
  group: 'Stack Overflow 2010' | 'every type at its limits' | 'keys, names, second schema';
}

export interface ComparedTable extends ExpectedTable {
  /** Rows the target holds, or null where it has no such table. */
  found: number | null;
}

export interface Summary {
  tables: ComparedTable[];
  types: TypeCheck;
  phases: { name: string; seconds: number }[];
  /** Seconds of the tool's runs that moved rows, its start included. */
  migrationSeconds: number;
}

const count = (value: number) => value.toLocaleString('en');

/** Prints tables, rows, rates and times, and every difference. */
export function printSummary(say: (line: string) => void, summary: Summary): void {
  const { tables, types, phases, migrationSeconds } = summary;
  say('\n== Summary');
  for (const table of tables.filter(({ group }) => group === 'Stack Overflow 2010')) {
    say(tableLine(table.name, [table]));
  }
  for (const group of ['every type at its limits', 'keys, names, second schema'] as const) {
    const members = tables.filter((table) => table.group === group);
    say(tableLine(`${members.length} tables: ${group}`, members));
  }
  const verdict = types.differences.length === 0 ? 'each prints as expected' : 'NOT all as expected';
  say(`  ${count(types.checked)} values of every type: ${verdict}`);
  const wrong = tables
    .filter(({ found, rows }) => found !== rows)
    .map(({ schema, name, found, rows }) => {
      const holds = found === null ? 'no such table' : `${count(found)} rows`;
      return `${schema}.${name}: ${holds}, ${count(rows)} rows in the source`;
    })
    .concat(types.differences);
  for (const difference of wrong.slice(0, 20)) say(`  WRONG: ${difference}`);
  if (wrong.length > 20) say(`  and ${wrong.length - 20} more differences`);

  say('');
  for (const { name, seconds } of phases) say(`  ${name.padEnd(50)}${seconds.toFixed(1).padStart(7)} s`);
  const total = phases.reduce((sum, { seconds }) => sum + seconds, 0);
  say(`  ${'in all'.padEnd(50)}${total.toFixed(1).padStart(7)} s`);
  const rows = tables.reduce((sum, { found }) => sum + (found ?? 0), 0);
  const rate = count(Math.round(rows / migrationSeconds));
  say(
    `\n  ${tables.length} tables, ${count(rows)} rows migrated in ${migrationSeconds.toFixed(1)} s: ${rate} rows/s`,
  );
}

function tableLine(label: string, tables: ComparedTable[]): string {
  const rows = tables.reduce((sum, { found }) => sum + (found ?? 0), 0);
  const verdict = tables.every((table) => table.found === table.rows) ? 'ok' : 'WRONG';
  return `  ${label.padEnd(42)}${count(rows).padStart(11)} rows  ${verdict}`;
}

export interface Endpoints {
  source: SqlServerConnection;
  target: PostgresConnection;
  config: string;
  cliFile: string;
}

/** How to look at both servers, and how to run the tool against them. */
export function howToConnect({ source, target, config, cliFile }: Endpoints): string {
  return `
== Both servers stay up until Ctrl-C
The target:
  psql '${postgresUrl(target)}'
The stand-in SQL Server, for any TDS client:
  server ${source.host},${source.port}  database ${source.database}  user ${source.user}  password ${source.password}
The tool by hand:
  node ${cliFile} -c ${config} health-check
  node ${cliFile} -c ${config} run
  node ${cliFile} -c ${config} run --source-schema sales --target-schema sales
  node ${cliFile} -c ${config} validate`;
}
