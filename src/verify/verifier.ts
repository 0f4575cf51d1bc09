/**
 * Compares tables: connections, the known-answer test, which side hashes itself and which is streamed.
 *
 * Main thread. `verify` reports what it finds; `upsert` will act on it.
 */
import { AppError, toErrorData } from '../errors.js';
import type { TablePlan } from '../plan/model.js';
import type { SourceConnection } from '../source/connection.js';
import { tableLabel } from '../source/model.js';
import { existingRelations, type TargetColumn, type TargetRelation } from '../target/catalog.js';
import { roundsInSilence } from '../target/compatible.js';
import type { TargetConnection } from '../target/connection.js';
import { qualified, quoteIdent } from '../target/identifiers.js';
import { hiddenRows } from '../target/rowSecurity.js';
import type { MappedColumn } from '../types/family.js';
import { mapColumn } from '../types/index.js';
import { type CompareOptions, type Sides, TableComparison } from './compare.js';
import { HashingSource } from './hashingSource.js';
import { HashingTarget } from './hashingTarget.js';
import { comparedColumns, keyColumns } from './hashSql.js';
import { type KnownAnswers, testKnownAnswers, unhashable } from './knownAnswer.js';
import { type ConnectionPair, PairPool } from './pairs.js';
import { type StreamedOptions, type StreamSource, streamedSource, streamedTarget } from './streamedSide.js';

export interface VerifierOptions
  extends Omit<StreamedOptions, 'trustRowHash'>,
    Omit<CompareOptions, 'onRows'> {
  /** The target's column to take for the hash of a row's values, or null: its values are hashed. */
  rowHashColumn: string | null;
  /** Streams the source's rows where SQL Server can't hash them. */
  streamSource: StreamSource;
}

/** One table ready to be compared. */
export interface PreparedComparison {
  comparison: TableComparison;
  /**
   * Whether the source's keys come as the source itself writes them; where its rows are streamed they are
   * PostgreSQL's text of the values, without what a mapping loses.
   */
  exactKeys: boolean;
  /** What had to be done differently, in words. */
  notes: string[];
}

/** What a target lacks before anything can be compared. */
export type TargetState = 'ready' | 'missing';

export class Verifier {
  readonly pool: PairPool;
  readonly #options: VerifierOptions;
  #answers: KnownAnswers = { source: new Map(), target: new Map() };
  /** The target's tables that are there, by plan index. */
  readonly #relations = new Map<number, TargetRelation>();
  /** Their columns by name. */
  readonly #columns = new Map<number, ReadonlyMap<string, TargetColumn>>();

  /** @param options.parallel also the most connections to each side */
  constructor(
    connectSource: () => Promise<SourceConnection>,
    connectTarget: () => Promise<TargetConnection>,
    options: VerifierOptions,
  ) {
    this.pool = new PairPool(connectSource, connectTarget, options.parallel);
    this.#options = options;
  }

  /**
   * Connects, finds the target's tables and runs the known-answer test.
   *
   * @returns what a server does not hash as the hash tier does, in words
   * @throws AppError SCHEMA_CONFLICT where a row hash column to trust is not there
   */
  async prepare(plans: readonly TablePlan[]): Promise<string[]> {
    return this.pool.use(async ({ source, target }) => {
      const relations = await existingRelations(
        target,
        plans.map((plan) => plan.target),
      );
      const there = new Map(relations.map((relation) => [tableLabel(relation), relation]));
      for (const plan of plans) {
        const { schema, name } = plan.target;
        const relation = there.get(tableLabel(plan.target));
        if (relation === undefined) continue;
        const columns = new Map(relation.columns.map((column) => [column.name, column]));
        this.#relations.set(plan.index, relation);
        this.#columns.set(plan.index, columns);
        const { rowHashColumn } = this.#options;
        if (rowHashColumn === null || columns.has(rowHashColumn)) continue;
        throw new AppError(
          'SCHEMA_CONFLICT',
          `Target ${schema}.${name} has no column ${rowHashColumn} to trust`,
          {
            table: `${schema}.${name}`,
            column: rowHashColumn,
            remedy: 'Verify without --trust-row-hash, or migrate with use_hash_detection: true.',
          },
        );
      }
      this.#answers = await testKnownAnswers(source, target, plans);
      return [
        ...[...this.#answers.source].map(
          ([type, why]) => `SQL Server does not hash ${type} as expected: ${why}`,
        ),
        ...[...this.#answers.target].map(
          ([type, why]) => `PostgreSQL does not hash ${type} as expected: ${why}`,
        ),
      ];
    });
  }

  /** @returns whether the target has the table; after `prepare`. */
  targetState(plan: TablePlan): TargetState {
    return this.#relations.has(plan.index) ? 'ready' : 'missing';
  }

  /**
   * @param rowHashColumn the column whose hashes are taken for those of the values, or null
   * @returns the plan with what its columns are in the target; after `prepare`
   */
  inTarget(plan: TablePlan, rowHashColumn: string | null = null): TablePlan {
    const there = this.#columns.get(plan.index);
    const columns = plan.columns.map((column) => {
      const { type, generated = false } = there?.get(column.targetName) ?? {};
      return {
        ...column,
        // What the target computes itself is not covered by its row hashes.
        hashed: column.hashed && (rowHashColumn === null || !generated),
        ...(type !== undefined && { typeThere: type }),
      };
    });
    return { ...plan, columns };
  }

  /** @returns why PostgreSQL can't compute the row hashes of the table, or null; after `prepare`. */
  unhashableTarget(plan: TablePlan): string | null {
    return unhashable(plan, 'target', this.#answers);
  }

  /** The target's column whose hashes are taken for those of the rows' values, or null. */
  get rowHashColumn(): string | null {
    return this.#options.rowHashColumn;
  }

  /**
   * Decides who hashes the table's rows, and has both servers look at the statements.
   *
   * @param rowHashColumn the column to trust, or null: the target's values are compared
   * @throws AppError TARGET_PERMISSION where row-level security hides rows of the target, SCHEMA_CONFLICT where it lacks a
   * column or its key is of another type or NULL
   */
  async compare(
    given: TablePlan,
    rowHashColumn: string | null,
    onRows?: (rows: bigint) => void,
  ): Promise<PreparedComparison> {
    const relation = this.#relations.get(given.index);
    const hidden = relation === undefined ? null : hiddenRows(relation);
    if (hidden !== null) throw hidden;
    this.#requireColumns(given);
    const plan = this.inTarget(given, rowHashColumn);
    const streamed = {
      source: unhashable(plan, 'source', this.#answers),
      target: unhashable(plan, 'target', this.#answers) ?? this.#ofAnotherType(plan, rowHashColumn),
    };
    const sidesOf = (pair: ConnectionPair): Sides => this.#sides(plan, pair, streamed, rowHashColumn);
    await this.pool.use(async (pair) => {
      await this.#requireKeys(plan, pair.target);
      for (const side of ['source', 'target'] as const) {
        if (streamed[side] !== null) continue;
        const problem = await refusal(() => sidesOf(pair)[side].probe());
        if (problem === null) continue;
        streamed[side] =
          `${side === 'source' ? 'SQL Server' : 'PostgreSQL'} refuses to hash its rows: ${problem}`;
      }
    });
    const notes = (['source', 'target'] as const).flatMap((side) =>
      streamed[side] === null
        ? []
        : [`the ${side}'s rows are streamed through the hash tier: ${streamed[side]}`],
    );
    if (relation !== undefined && relation.heirs.length > 0) {
      notes.push(
        `rows of tables that inherit from the target's are compared as its own: ${relation.heirs.join(', ')}`,
      );
    }
    const comparison = new TableComparison(plan, this.pool, sidesOf, {
      ...this.#options,
      ...(onRows !== undefined && { onRows }),
    });
    const exactKeys =
      streamed.source === null || keyColumns(plan).every((column) => isExactText(column.source));
    return { comparison, exactKeys, notes };
  }

  close(): Promise<void> {
    return this.pool.close();
  }

  /** Rows without a key lie in no range, and nothing names them: they would be overlooked, and can't be deleted. */
  async #requireKeys(plan: TablePlan, target: TargetConnection): Promise<void> {
    const there = this.#columns.get(plan.index);
    const nullable = keyColumns(plan).flatMap(({ targetName }) =>
      there?.get(targetName)?.notNull === false ? [targetName] : [],
    );
    if (nullable.length === 0) return;
    const without = nullable.map((name) => `t.${quoteIdent(name)} IS NULL`).join(' OR ');
    const [row] = await target.query<{ there: boolean }>(
      `SELECT EXISTS (SELECT FROM ${qualified(plan.target)} AS t WHERE ${without}) AS there`,
    );
    if (row?.there !== true) return;
    const [table, column] = [tableLabel(plan.target), nullable.join(', ')];
    throw new AppError('SCHEMA_CONFLICT', `Target table ${table} has rows whose key is NULL (${column})`, {
      ...{ table, column },
      remedy: 'Delete these rows, or give them keys: the source has none such.',
    });
  }

  /** Columns that are not compared count, too: rows that lack one are not the same rows. */
  #requireColumns(plan: TablePlan): void {
    const there = this.#columns.get(plan.index);
    const lacking = plan.columns.map(({ targetName }) => targetName).filter((name) => !there?.has(name));
    const [first] = lacking;
    if (first === undefined) return;
    const table = tableLabel(plan.target);
    throw new AppError('SCHEMA_CONFLICT', `Target ${table} has no column ${lacking.join(', ')}`, {
      ...{ table, column: first },
      remedy: 'Add what is missing or migrate the table again; names follow migration.identifier_case.',
    });
  }

  /**
   * @returns which numbers of the target are of another type, so that hashing would round them, or null
   * @throws AppError SCHEMA_CONFLICT where one of them is of the key: its rows can't be told apart then
   */
  #ofAnotherType(plan: TablePlan, rowHashColumn: string | null): string | null {
    const there = this.#columns.get(plan.index);
    const others: string[] = [];
    const hashed = rowHashColumn === null ? comparedColumns(plan) : keyColumns(plan);
    for (const { targetName, pgType, keyPosition } of hashed) {
      const type = there?.get(targetName)?.type;
      if (type === undefined || !roundsInSilence(pgType, type)) continue;
      if (keyPosition >= 0) throw otherKey(plan, targetName, `${type}, not ${pgType}`);
      others.push(`${targetName} is ${type} there, not ${pgType}`);
    }
    return others.length === 0 ? null : others.join(', ');
  }

  #sides(
    plan: TablePlan,
    { source, target }: ConnectionPair,
    streamed: { source: string | null; target: string | null },
    rowHashColumn: string | null,
  ): Sides {
    const { nul, isolation, streamSource, tier1Rows } = this.#options;
    const options = { nul, isolation, trustRowHash: rowHashColumn !== null, rangeRows: tier1Rows };
    return {
      source:
        streamed.source === null
          ? new HashingSource(source, plan, options)
          : streamedSource(plan, streamSource, options),
      target:
        streamed.target === null
          ? new HashingTarget(target, plan, { rowHashColumn })
          : streamedTarget(target, plan, { rowHashColumn }),
    };
  }
}

function otherKey({ target }: TablePlan, column: string, what: string): AppError {
  const table = tableLabel(target);
  return new AppError('SCHEMA_CONFLICT', `Key column ${column} of target table ${table} is ${what}`, {
    ...{ table, column },
    remedy: 'Change it to that type, or say in migration.type_overrides which type it has.',
  });
}

/** Whether PostgreSQL's text of a value is one that SQL Server reads the same value from. */
function isExactText(column: MappedColumn): boolean {
  const { loses, conversion } = mapColumn(column);
  return loses === null && conversion === undefined;
}

/** @returns why a server refuses a statement, or null where it does not; throws what is no refusal. */
async function refusal(ask: () => Promise<void>): Promise<string | null> {
  try {
    await ask();
    return null;
  } catch (error) {
    const { code, message } = toErrorData(error);
    if (code === 'SOURCE_QUERY' || code === 'TARGET_QUERY') return message;
    throw error;
  }
}
