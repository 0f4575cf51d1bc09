/**
 * What a transfer mode is, and the checks all of them share.
 *
 * Runs on the main thread.
 */
import { AppError } from '../../errors.js';
import { tableLabel } from '../../source/model.js';
import { nameLockHolders, relationsNamed, schemaRights, type TargetRelation } from '../../target/catalog.js';
import { inTransaction, type TargetConnection } from '../../target/connection.js';
import { createSchema } from '../../target/ddl.js';
import { quoteIdent } from '../../target/identifiers.js';
import { nameLockShortage } from '../../target/lockTable.js';
import { requirements, type TablePlan } from '../model.js';
import { relationKey } from '../names.js';

/** How the target's tables are made ready for rows. One file a mode; `index.ts` lists them. */
export interface TransferMode {
  readonly name: 'drop_recreate' | 'truncate' | 'upsert';
  /** Whether every row is read into emptied tables, or only what differs into tables that keep their rows. */
  readonly loads: 'everything' | 'differences';
  /** Looks for whatever would make `prepare` fail, and changes nothing: what a dry run does. */
  check(target: TargetConnection, plans: readonly TablePlan[]): Promise<Examined>;
  /**
   * Checks, then leaves every table ready for its rows, empty where the mode loads everything; in one transaction.
   *
   * @param also run last in that transaction: what must be true exactly when the tables are ready
   * @throws AppError what `check` finds, and whatever the statements themselves run into.
   */
  prepare(target: TargetConnection, plans: readonly TablePlan[], also?: () => Promise<void>): Promise<void>;
}

const KINDS: Record<string, string> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  I: 'a partitioned index',
  c: 'a composite type',
};

/** What a mode finds before it touches anything. */
export interface Examined {
  /** For each plan, in order, what `prepare` would do: `drops public.orders (about 12 rows)`. */
  actions: string[][];
  /** What would make it fail: SCHEMA_CONFLICT, TARGET_PERMISSION or UNSUPPORTED, naming table and remedy. */
  obstacles: AppError[];
}

/** Whether a relation is one that rows can be loaded into. */
export function isTable({ kind }: TargetRelation): boolean {
  return kind === 'r' || kind === 'p';
}

/** @returns an obstacle for each target name that belongs to something other than a table. */
export function notTables(relations: readonly TargetRelation[]): AppError[] {
  return relations
    .filter((relation) => !isTable(relation))
    .map((relation) => {
      const label = tableLabel(relation);
      return new AppError('SCHEMA_CONFLICT', `Target ${label} is ${KINDS[relation.kind] ?? 'no table'}`, {
        table: label,
        remedy: 'Drop or rename it, choose another target schema, or exclude the table.',
      });
    });
}

/**
 * @returns an obstacle for each index and sequence name that belongs to something else: found after the rows, they
 * would cost the whole load.
 */
export async function takenNames(target: TargetConnection, plans: readonly TablePlan[]): Promise<AppError[]> {
  const wishes = plans.flatMap((plan) => [
    ...[plan.primaryKeyName, ...plan.objects.indexes.map(({ name }) => name)].flatMap((name) =>
      name === null ? [] : [{ schema: plan.target.schema, name, table: tableLabel(plan.target) }],
    ),
    ...plan.objects.sequences.map(({ schema, name }) => ({ schema, name, table: null })),
  ]);
  const ours = new Set(plans.map((plan) => tableLabel(plan.target)));
  const byName = new Map(wishes.map((wish) => [relationKey(wish), wish]));
  return (await relationsNamed(target, wishes)).flatMap((found) => {
    const owner =
      found.table === null ? null : tableLabel({ schema: found.tableSchema ?? '', name: found.table });
    const wish = byName.get(relationKey(found));
    if (wish === undefined || (owner !== null && ours.has(owner))) return [];
    // A sequence of an earlier run goes on counting.
    if (wish.table === null && found.kind === 'S') return [];
    const what =
      wish.table === null ? `Sequence ${tableLabel(found)}` : `Index ${found.name} of ${wish.table}`;
    const holder =
      owner !== null
        ? `is an index of ${owner}`
        : wish.table === null
          ? `is ${KINDS[found.kind] ?? 'a table'}`
          : 'is no index';
    const remedy =
      'Rename what has the name, choose another target schema, or migrate both tables in one run.';
    return new AppError('SCHEMA_CONFLICT', `${what} can't be made: ${tableLabel(found)} ${holder}`, {
      ...(wish.table !== null && { table: wish.table }),
      remedy,
    });
  });
}

/**
 * @returns an obstacle for each schema in which the role may not create tables; without tables to create there is
 * nothing to ask
 */
export async function missingSchemaRights(
  target: TargetConnection,
  plans: readonly TablePlan[],
): Promise<AppError[]> {
  const schemas = [...new Set(plans.map((plan) => plan.target.schema))];
  const missing = (await schemaRights(target, schemas)).filter(({ mayCreate }) => !mayCreate);
  if (missing.length === 0) return [];
  const [user] = await target.query<{ name: string }>('SELECT current_user AS name');
  return missing.map(
    ({ schema, exists }) =>
      new AppError(
        'TARGET_PERMISSION',
        exists
          ? `Role ${user?.name} may not create tables in target schema ${schema}`
          : `Target schema ${schema} does not exist, and role ${user?.name} may not create it`,
        {
          remedy: exists
            ? `GRANT USAGE, CREATE ON SCHEMA ${quoteIdent(schema)} TO the role.`
            : `Create the schema, or GRANT CREATE ON DATABASE to the role.`,
        },
      ),
  );
}

/** Creates the schemas that are missing, and what the columns' types need. */
async function createSchemas(target: TargetConnection, plans: readonly TablePlan[]): Promise<void> {
  const schemas = [...new Set(plans.map((plan) => plan.target.schema))];
  for (const { schema, exists } of await schemaRights(target, schemas)) {
    // IF NOT EXISTS alone would ask for CREATE on the database even where the schema is there.
    if (!exists) await target.query(createSchema(schema));
  }
  for (const statement of requirements(plans)) await target.query(statement);
}

/**
 * Makes the target ready in one transaction: what is missing around the tables, then the tables, then what `also` says.
 *
 * @throws AppError naming who holds the locks that were waited for in vain, or what room there must be for so many
 */
export async function makeReady(
  target: TargetConnection,
  plans: readonly TablePlan[],
  makeTables: () => Promise<void>,
  also: (() => Promise<void>) | undefined,
): Promise<void> {
  try {
    await inTransaction(target, async () => {
      await createSchemas(target, plans);
      await makeTables();
      await also?.();
    });
  } catch (error) {
    const names = plans.map((plan) => plan.target);
    throw await nameLockShortage(target, names, await nameLockHolders(target, names, error));
  }
}

/** Statements sent at once: enough to make the round trips nothing, and still readable in the server's log. */
const STATEMENTS_AT_ONCE = 100;

/** Runs statements of which none gives anything, in order. */
export async function runAll(target: TargetConnection, statements: readonly string[]): Promise<void> {
  for (let at = 0; at < statements.length; at += STATEMENTS_AT_ONCE) {
    await target.query(statements.slice(at, at + STATEMENTS_AT_ONCE).join(';\n'));
  }
}

/** @returns `public.orders (about 12 rows)`, by the target's own statistics. */
export function withRows(relation: TargetRelation): string {
  const rows = relation.approximateRows < 0 ? 'never analyzed' : `about ${relation.approximateRows} rows`;
  return `${tableLabel(relation)} (${rows})`;
}

/** @returns what creating a table amounts to. */
export function createAction(plan: TablePlan): string {
  return `creates ${plan.unlogged ? 'unlogged ' : ''}table ${tableLabel(plan.target)}`;
}
