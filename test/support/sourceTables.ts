/** Source tables as the catalog would describe them, for tests that need no server. */
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
