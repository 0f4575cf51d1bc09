/**
 * PostgreSQL's errors as SQL Server's.
 *
 * Runs in the process of the stand-in SQL Server. What has no counterpart becomes error 50000 with PostgreSQL's
 * text: a fault of the stand-in, to be seen and mended, never a wrong answer.
 */
import pg from 'pg';
import { SqlError } from '../contract.js';
import type { Schema, Table } from './schema.js';

export interface ErrorContext {
  schema: Schema | null;
  database: string;
  /** INSERT, UPDATE, DELETE, ... */
  statement: string;
}

export function toSqlError(error: unknown, context: ErrorContext): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  const code = error.code ?? '';
  switch (code) {
    case 'TSQLE':
      return new SqlError(Number(error.detail), error.message);
    case '22012':
      return new SqlError(8134, 'Divide by zero error encountered.');
    case '22003': {
      const type = /smallint/.test(error.message)
        ? 'smallint'
        : /bigint/.test(error.message)
          ? 'bigint'
          : /integer/.test(error.message)
            ? 'int'
            : /real/.test(error.message)
              ? 'real'
              : /double/.test(error.message)
                ? 'float'
                : 'numeric';
      return new SqlError(8115, `Arithmetic overflow error converting expression to data type ${type}.`, {
        state: 2,
      });
    }
    case '2200H': {
      // Sequences are `sq_<object id>`, those of identity columns `id_<object id>`.
      const id = Number(/"sq_(\d+)"/.exec(error.message)?.[1]);
      const sequence = context.schema?.data.objects?.find((object) => object.id === id);
      if (!sequence)
        return new SqlError(8115, 'Arithmetic overflow error converting IDENTITY to data type int.');
      return new SqlError(
        11728,
        `The sequence object '${sequence.name}' has reached its minimum or maximum value. Restart the sequence object to allow new values to be generated.`,
      );
    }
    case '23505':
      return duplicate(error, context);
    case '23502':
      return nullValue(error, context);
    case '23503':
      return conflict(
        error,
        context,
        /still referenced/.test(error.detail ?? '') ? 'REFERENCE' : 'FOREIGN KEY',
        'F',
      );
    case '23514':
      return conflict(error, context, 'CHECK', 'C');
    case '21000':
      return new SqlError(
        512,
        'Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.',
      );
    case '40P01':
      return new SqlError(
        1205,
        'Transaction was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.',
        { class: 13, state: 51 },
      );
    case '40001':
      return new SqlError(
        3960,
        `Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access the table directly or indirectly in database '${context.database}' to update, delete, or insert the row that has been modified or deleted by another transaction. Retry the transaction or change the isolation level for the update/delete statement.`,
        { state: 2 },
      );
    case '55P03':
      return new SqlError(1222, 'Lock request time out period exceeded.', { state: 45 });
    case '42803':
      return new SqlError(
        8120,
        `A column is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause (${error.message}).`,
      );
    default:
      return new SqlError(
        50000,
        `The stand-in could not run this on PostgreSQL: ${error.message} (SQLSTATE ${code})`,
      );
  }
}

/** Index names are `ix_<object id>_<index id>`. */
function duplicate(error: pg.DatabaseError, { schema }: ErrorContext): SqlError {
  const match = /^[if]x_(\d+)_(\d+)$/.exec(error.constraint ?? '');
  const table = match && schema?.tableById(Number(match[1]));
  const index = table?.indexes.find((candidate) => candidate.id === Number(match![2]));
  const values = /=\((.*)\) (?:already exists|is duplicated)/.exec(error.detail ?? '')?.[1] ?? '';
  const object = table ? `${table.schema}.${table.name}` : '';
  const end = `The duplicate key value is (${values}).`;
  if (/could not create unique index/.test(error.message)) {
    return new SqlError(
      1505,
      `The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '${object}' and the index name '${index?.name ?? ''}'. ${end}`,
    );
  }
  if (index?.constraint) {
    const kind = index.primary ? 'PRIMARY KEY' : 'UNIQUE KEY';
    return new SqlError(
      2627,
      `Violation of ${kind} constraint '${index.name}'. Cannot insert duplicate key in object '${object}'. ${end}`,
      { class: 14 },
    );
  }
  return new SqlError(
    2601,
    `Cannot insert duplicate key row in object '${object}' with unique index '${index?.name ?? ''}'. ${end}`,
    { class: 14 },
  );
}

function find(error: pg.DatabaseError, schema: Schema | null): Table | undefined {
  return schema?.data.tables
    ?.map(({ schema: name, name: table }) => schema.table(name, table)!)
    .find(
      (table) =>
        table.pg === `"${error.schema?.replaceAll('"', '""')}"."${error.table?.replaceAll('"', '""')}"`,
    );
}

function nullValue(error: pg.DatabaseError, { schema, database, statement }: ErrorContext): SqlError {
  const table = find(error, schema);
  const column = table?.columns.find((candidate) => candidate.pgName === error.column);
  const name = table ? `${database}.${table.schema}.${table.name}` : '';
  return new SqlError(
    515,
    `Cannot insert the value NULL into column '${column?.name ?? error.column}', table '${name}'; column does not allow nulls. ${statement} fails.`,
    { state: 2 },
  );
}

/** Constraint names are `fk_<object id>` and `ck_<object id>`. */
function conflict(
  error: pg.DatabaseError,
  { schema, database, statement }: ErrorContext,
  kind: string,
  type: string,
): SqlError {
  const id = Number(/_(\d+)$/.exec(error.constraint ?? '')?.[1]);
  const object = schema?.data.objects?.find((candidate) => candidate.id === id && candidate.type === type);
  const table = object && schema?.tableById(object.parentId);
  return new SqlError(
    547,
    `The ${statement} statement conflicted with the ${kind} constraint "${object?.name ?? ''}". The conflict occurred in database "${database}", table "${table ? `${table.schema}.${table.name}` : ''}".`,
  );
}
