/**
 * T-SQL's built-in functions: which there are, what they return, and how they run on PostgreSQL.
 *
 * Runs in the process of the stand-in SQL Server. A function not listed answers with error 195.
 */
import { SqlError } from '../../contract.js';
import type { Expr } from '../ast.js';
import { INT } from '../types.js';
import { aggregates } from './aggregates.js';
import type { Emitted, Env, Scope } from './context.js';
import { dateFunctions } from './dateFunctions.js';
import { value } from './expressions.js';
import { generalFunctions } from './generalFunctions.js';
import { mathFunctions } from './mathFunctions.js';
import { serverFunctions } from './serverFunctions.js';
import { stringFunctions } from './stringFunctions.js';

export type Call = Extract<Expr, { k: 'call' }>;

/** What a function gets: its call, and a way to its arguments' values. */
export interface Invocation {
  call: Call;
  env: Env;
  scope: Scope;
  /** The emitted argument `i`; throws SqlError 174 where it is missing. */
  arg(i: number): Emitted;
  has(i: number): boolean;
}

export type BuiltIn = (invocation: Invocation) => Emitted;

const BUILT_INS: Record<string, BuiltIn> = {
  ...aggregates,
  ...dateFunctions,
  ...generalFunctions,
  ...mathFunctions,
  ...serverFunctions,
  ...stringFunctions,
};

export function call(expr: Call, env: Env, scope: Scope): Emitted {
  const builtIn = Object.hasOwn(BUILT_INS, expr.name) ? BUILT_INS[expr.name] : undefined;
  if (!builtIn) {
    throw new SqlError(195, `'${expr.name}' is not a recognized built-in function name.`, {
      class: 15,
      state: 10,
    });
  }
  return builtIn({
    call: expr,
    env,
    scope,
    has: (i) => i < expr.args.length,
    arg(i) {
      const argument = expr.args[i];
      if (!argument) {
        throw new SqlError(174, `The ${expr.name.toLowerCase()} function requires ${i + 1} argument(s).`, {
          class: 15,
        });
      }
      return value(argument, env, scope);
    },
  });
}

/** `@@name`; throws SqlError 137 for one that is not known. */
export function globalVariable(name: string, env: Env): Emitted {
  const { session } = env;
  const int = (number: number): Emitted => ({ sql: `${number}`, type: INT, nullable: false });
  const found = serverFunctions[name.toUpperCase()];
  if (found) {
    const scope: Scope = { sources: [], parent: null };
    const nothing: Call = { k: 'call', name, args: [], star: false, distinct: false, over: null };
    return found({ call: nothing, env, scope, has: () => false, arg: () => int(0) });
  }
  switch (name.toUpperCase()) {
    case '@@SPID':
      return { ...int(session.spid), type: { name: 'smallint', precision: 5, scale: 0 } };
    case '@@TRANCOUNT':
      return int(session.transactionCount);
    case '@@ROWCOUNT':
      return int(session.rowCount);
    case '@@ERROR':
      return int(session.lastError);
    case '@@DATEFIRST':
      return { ...int(session.dateFirst), type: { name: 'tinyint', precision: 3, scale: 0 } };
    default:
      throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15, state: 2 });
  }
}
