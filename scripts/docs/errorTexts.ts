/**
 * What each error code means, what usually causes it and what to do: the texts of `docs/troubleshooting.md`.
 *
 * A code of `src/errors.ts` without a text here does not compile.
 */
import type { ErrorCode } from '../../src/errors.js';

interface ErrorText {
  meaning: string;
  causes: string;
  remedy: string;
}

export const ERROR_TEXTS: Record<ErrorCode, ErrorText> = {
  CONFIG_NOT_FOUND: {
    meaning: 'There is no configuration file at this path.',
    causes: 'The command ran in another folder; in a container, the file is not mounted.',
    remedy: 'Name the file with `-c`. `init` writes one.',
  },
  CONFIG_SYNTAX: {
    meaning: 'The file is not YAML or JSON.',
    causes: 'Wrong indentation, a tab, a value that begins with `*`, `&`, `@` or `%` without quotes.',
    remedy: 'Look at the line and column the message names; put such values in quotes.',
  },
  CONFIG_INVALID: {
    meaning: 'Something in the configuration is unknown, out of bounds or in contradiction.',
    causes:
      'A misspelled key, a number out of its range, two settings of which one would have no effect, a type that would alter values.',
    remedy:
      'All mistakes are listed at once, each with its place and what would be right. [configuration.md](configuration.md) has every key.',
  },
  CONFIG_VARIABLE_UNSET: {
    meaning: 'A variable that the configuration uses is not set, or its command printed nothing usable.',
    causes: 'The scheduler or the container does not pass the variable on.',
    remedy: 'Set it where the process is started. Write `$${` where a literal `${` is meant.',
  },
  USAGE: {
    meaning: 'The command line has an option or an argument that does not fit.',
    causes: 'A misspelled option, a value out of range, options that exclude each other.',
    remedy: 'See `--help` of the command, or [commands.md](commands.md).',
  },
  UNSUPPORTED: {
    meaning: 'What is asked for can not be done with these servers or tables.',
    causes:
      'A PostgreSQL that is too old, a table whose rows a plain SELECT does not give whole, `upsert` of tables without a key.',
    remedy: 'Exclude the tables that are named, or choose another mode.',
  },
  RUN_IMPOSSIBLE: {
    meaning: '`plan` found something that would keep the run from working.',
    causes: 'Whatever `obstacles` lists: rights that are missing, views on tables to drop, names that clash.',
    remedy: 'Remove each obstacle as its own remedy says; then `plan` again.',
  },
  SOURCE_UNREACHABLE: {
    meaning: 'No connection to SQL Server could be made.',
    causes:
      'Wrong host or port, a firewall, TCP/IP switched off in SQL Server, a named instance without its port, a limit of user connections, a server that is starting.',
    remedy:
      '`health-check` tries just this. A server that starts is waited for as long as `migration.max_retries` and `retry_delay_ms` allow. Give `source.port` of the instance. `migration.max_mssql_connections` bounds how many are asked for; a run that had some goes on with these.',
  },
  SOURCE_LOGIN_FAILED: {
    meaning: 'SQL Server refused the login.',
    causes:
      'Wrong user or password, a server that takes Windows logins only, an access token that has expired, no access to the database, a replica of an availability group that takes other connections.',
    remedy:
      'Correct `source.user`, `source.password` or `source.authentication`; for a replica, `source.application_intent`.',
  },
  SOURCE_DATABASE_UNKNOWN: {
    meaning: 'SQL Server has no such database, or this login may not open it.',
    causes: 'A misspelled name, a login without a user in the database, a database that is offline.',
    remedy: 'Check `source.database`. `deploy/sql/sqlserver-login.sql` makes a login that suffices.',
  },
  SOURCE_TLS: {
    meaning: 'The encrypted connection to SQL Server could not be made.',
    causes:
      'A certificate that nobody known has signed, or of another host name; a server without encryption; old protocols only.',
    remedy:
      'Give the authority as `source.ca_file`. In development, `trust_server_cert: true` takes any certificate. A server without TLS 1.2 is better updated; the message has what helps until then.',
  },
  SOURCE_CONNECTION_LOST: {
    meaning:
      'A connection to SQL Server ended in the middle of its work or said nothing for too long, and retries did not help.',
    causes:
      'A restart or failover, a network device that drops idle or long connections, a killed session; a lock that `source.stall_timeout_seconds` did not outlast.',
    remedy: '`resume`. Raise `migration.max_retries` and `retry_delay_ms` where such pauses are longer.',
  },
  TARGET_UNREACHABLE: {
    meaning: 'No connection to PostgreSQL could be made.',
    causes:
      'Wrong host or port, a firewall, `listen_addresses`, no connection slots left, a server that is starting.',
    remedy:
      '`health-check` tries just this. A server that starts is waited for as long as `migration.max_retries` and `retry_delay_ms` allow. `migration.max_pg_connections` bounds how many are asked for; a run that had some goes on with these.',
  },
  TARGET_LOGIN_FAILED: {
    meaning: 'PostgreSQL refused the login.',
    causes:
      'Wrong role or password, no line of `pg_hba.conf` for this host, a client certificate it does not take.',
    remedy: 'Correct `target.user`, `target.password`, or the server.',
  },
  TARGET_DATABASE_UNKNOWN: {
    meaning: 'PostgreSQL has no such database.',
    causes: 'A misspelled name, other letter case; the tool makes schemas, and no databases.',
    remedy: 'Create the database, or correct `target.database`.',
  },
  TARGET_TLS: {
    meaning: 'The encrypted connection to PostgreSQL could not be made.',
    causes:
      'A server without TLS while `ssl_mode` is `require` or more; with `verify-ca` or `verify-full`, a certificate of an unknown authority or another host.',
    remedy: 'Give `target.ssl_ca_file`, or choose another `ssl_mode`.',
  },
  TARGET_CONNECTION_LOST: {
    meaning: 'A connection to PostgreSQL ended in the middle of its work, and retries did not help.',
    causes:
      'A restart, a crash or failover, an administrator who ended the session, a pooler with a time limit.',
    remedy: '`resume`: chunks whose commit was not answered are settled by the ledger.',
  },
  SOURCE_PERMISSION: {
    meaning: 'The login may not read something.',
    causes: 'No SELECT on a table or column; no VIEW DEFINITION, so that catalogs show nothing.',
    remedy: 'Grant it, or exclude the table. `deploy/sql/sqlserver-login.sql` has what is needed.',
  },
  SOURCE_QUERY: {
    meaning: 'SQL Server could not run a query.',
    causes:
      'Snapshot isolation that the database does not allow, a damaged table, a computed column that fails for a row.',
    remedy: 'The message has the number and the text of SQL Server. Correct that, then `resume`.',
  },
  SOURCE_TRANSIENT: {
    meaning: 'SQL Server gave up for the time being, and retries did not help.',
    causes: 'Deadlocks, a time limit, too little memory or log space on the server, throttling.',
    remedy: '`resume` when it is calmer, with fewer `parallel_readers`, or with snapshot isolation.',
  },
  TARGET_PERMISSION: {
    meaning: 'The role may not do something.',
    causes:
      'No CREATE in the database or schema; tables that belong to another role; row security that hides rows.',
    remedy: '`deploy/sql/postgres-role.sql` makes a role that suffices. Old tables must belong to the role.',
  },
  TARGET_QUERY: {
    meaning: 'PostgreSQL refused a statement or a row.',
    causes:
      'With `truncate` and `upsert`: a constraint or trigger of the target. A key or index that can not be made. A limit of the server, such as `temp_file_limit`, or `max_locks_per_transaction` where thousands of tables are made ready at once.',
    remedy: 'The message has the SQLSTATE and what it concerns. Correct it, then `resume` or run again.',
  },
  TARGET_TRANSIENT: {
    meaning: 'PostgreSQL gave up for the time being, and retries did not help.',
    causes:
      "Another session's lock, a deadlock, a full disk, too many connections, a server that shuts down.",
    remedy:
      'Remove the cause the message names, then `resume`. `target.lock_timeout_seconds` bounds waits for locks.',
  },
  TABLE_NOT_FOUND: {
    meaning: 'No table is left to work on.',
    causes: 'A schema without tables, patterns that match nothing, a login that can see no tables.',
    remedy: 'Check `source.schema`, `include_tables` and `exclude_tables`, and the rights of the login.',
  },
  TYPE_UNSUPPORTED: {
    meaning: 'A column has a type or a code page that has no mapping.',
    causes: 'CLR types of your own; a collation this program does not know.',
    remedy:
      'Exclude the table, or give the column a type with a mapping in the source. [types.md](types.md) lists them.',
  },
  VALUE_UNREPRESENTABLE: {
    meaning: 'A row has a value that PostgreSQL can not hold, or that its type here can not hold.',
    causes:
      'A NUL character in text; a number out of the range that `type_overrides` asks for; damaged values.',
    remedy:
      'The message names table, column and key. Correct the row, choose `migration.on_nul`, or a wider type. The table is not changed in silence.',
  },
  VALUE_TOO_LARGE: {
    meaning: 'A value, a row or an index entry is larger than PostgreSQL takes.',
    causes:
      'A `max` value near a gigabyte; UTF-16 text that grows as UTF-8; hundreds of columns that do not fit a page; a key of more than 2,700 bytes.',
    remedy:
      'The message names table and key, as far as PostgreSQL tells. Shorten the value in the source, give columns smaller types, or exclude the table.',
  },
  SCHEMA_CONFLICT: {
    meaning: 'Source or target look otherwise than the run needs.',
    causes:
      'A table that was changed since the run began; with `truncate` and `upsert`, a target table with other columns or types; names that are taken.',
    remedy: 'Put it back as it was, or begin anew: `run --fresh`.',
  },
  PROTOCOL: {
    meaning: 'A server sent bytes that do not follow its protocol.',
    causes:
      'A network device or proxy that alters the stream; a server that is not SQL Server; a fault in this program.',
    remedy: 'Try again; where it comes back, report it with the message.',
  },
  WORKER_DIED: {
    meaning: 'A worker thread ended.',
    causes: 'No memory left in the container or on the host.',
    remedy: 'Lower `migration.memory_budget_percent`, `chunk_size` or `parallel_readers`, then `resume`.',
  },
  TABLES_FAILED: {
    meaning: 'Some tables failed; the others are done.',
    causes: 'Each table in the result has its own error.',
    remedy: 'Remove what the tables name, then `resume`: finished tables are left alone.',
  },
  ROWS_DIFFER: {
    meaning: '`verify` found rows that differ, or a table that is missing.',
    causes: 'The source was written to since the migration, or the target was.',
    remedy: '`verify --details 20` names rows. `target_mode: upsert` brings them over.',
  },
  ROW_COUNT_MISMATCH: {
    meaning: '`validate` counted different numbers of rows.',
    causes: 'As for ROWS_DIFFER.',
    remedy: '`verify` says which rows.',
  },
  CANCELLED: {
    meaning: 'The command was asked to stop.',
    causes: 'SIGINT, SIGTERM, a scheduler, an AbortSignal.',
    remedy:
      '`run --or-resume` goes on where it stopped; so does `resume`, unless no table had been made ready yet.',
  },
  STATE_INVALID: {
    meaning: 'There is an unfinished run, or none to resume, or it can not go on.',
    causes:
      'A run was interrupted and `run` came again; the configuration was changed since; another run has loaded the same tables.',
    remedy: 'The message says which: `resume`, `run --or-resume`, or `run --fresh` to give the old run up.',
  },
  IO: {
    meaning: 'A file can not be read or written, or a port can not be had.',
    causes:
      'A folder that is missing, a read-only file system, rights, a full disk, a port in use, a limit of open files (`ulimit -n`).',
    remedy: 'Correct the path, or raise the limit, that the message names.',
  },
  INTERNAL: {
    meaning: 'A fault in this program.',
    causes: 'A check that the program makes of itself failed.',
    remedy: 'Report it, with the log of `--verbosity debug`. Nothing of a chunk in doubt was committed.',
  },
};
