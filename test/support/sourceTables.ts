/** Source tables as the catalog would describe them, for tests that need no server. */
import assert from 'node:assert/strict';
import type { TablePlan } from '../../src/plan/model.js';
import { type PlanOptions, planTables } from '../../src/plan/tables.js';
import type { SourceColumn, SourceTable } from '../../src/source/model.js';

/** A NOT NULL column of a fixed-length type, unless `changes` say otherwise. */
export function sourceColumn(
  name: string,
  type: string,
  changes: Partial<Omit<SourceColumn, 'name' | 'type'>> = {},
): SourceColumn {
  return {
    name,
    type,
    ordinal: 1,
    declaredType: type,
    maxLengthBytes: 4,
    precision: 0,
    scale: 0,
    nullable: false,
    collation: null,
    identity: null,
    computed: null,
    ...changes,
  };
}

export interface SourceTableParts {
  schema?: string;
  name?: string;
  kind?: SourceTable['kind'];
  columns?: SourceColumn[];
  /** Columns of the primary key; none by default. */
  key?: string[];
  keyName?: string;
  approximateRows?: number;
  versioned?: true;
}

/** A table `dbo.T` with one int column, unless `parts` say otherwise. */
export function sourceTable(parts: SourceTableParts = {}): SourceTable {
  const name = parts.name ?? 'T';
  const columns = parts.columns ?? [sourceColumn('Id', 'int')];
  return {
    schema: parts.schema ?? 'dbo',
    name,
    objectId: 1,
    kind: parts.kind ?? 'table',
    columns: columns.map((column, index) => ({ ...column, ordinal: index + 1 })),
    primaryKey:
      parts.key === undefined
        ? null
        : { name: parts.keyName ?? `PK_${name}`, kind: 'primary key', clustered: true, columns: parts.key },
    uniqueKeys: [],
    approximateRows: parts.approximateRows ?? 0,
    ...(parts.versioned && { versioned: parts.versioned }),
  };
}

/** Names are kept, and everything goes into `public`. */
export const planOptions: PlanOptions = {
  naming: { identifierCase: 'preserve', schemaOf: () => 'public' },
  chunkRows: 50_000,
  rowHashColumn: null,
  hashTextColumns: false,
  unlogged: false,
};

/** @returns the plan of `sourceTable(parts)` */
export function planOne(parts: SourceTableParts, changes: Partial<PlanOptions> = {}): TablePlan {
  const [plan] = planTables([sourceTable(parts)], { ...planOptions, ...changes });
  assert.ok(plan);
  return plan;
}

/** Two tables of schema `app` with a primary key each: `Orders`, the larger one, and `Users`. */
export function ordersAndUsers(changes: { unlogged?: boolean; rowHashColumn?: string } = {}): TablePlan[] {
  const orders = sourceTable({
    name: 'Orders',
    approximateRows: 10,
    columns: [
      sourceColumn('Id', 'int'),
      sourceColumn('User Id', 'int', { nullable: true }),
      sourceColumn('Total', 'decimal', { precision: 19, scale: 4 }),
    ],
    key: ['Id'],
  });
  const users = sourceTable({
    name: 'Users',
    columns: [
      sourceColumn('Id', 'int'),
      sourceColumn('Name', 'nvarchar', { maxLengthBytes: 80, nullable: true }),
    ],
    key: ['Id'],
  });
  return planTables([orders, users], {
    naming: { identifierCase: 'preserve', schemaOf: () => 'app' },
    chunkRows: 1000,
    rowHashColumn: changes.rowHashColumn ?? null,
    hashTextColumns: false,
    unlogged: changes.unlogged ?? false,
  });
}
