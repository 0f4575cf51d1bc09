/**
 * The reference of types, asked of the mapping itself: what each type becomes, what is lost, what else it may become.
 *
 * Main thread; pure.
 */
import { conversionsFrom } from '../../src/types/conversions.js';
import type { MappedColumn } from '../../src/types/family.js';
import { ofType } from '../../src/types/hashSamples.js';
import { mapColumn, SOURCE_TYPES } from '../../src/types/index.js';
import { code, list, table } from './markdown.js';

/** Each type as a table might have it. */
const EXAMPLES: Record<string, [spelled: string, column: Partial<MappedColumn>]> = {
  decimal: ['decimal(18,2)', { precision: 18, scale: 2 }],
  numeric: ['numeric(38,10)', { precision: 38, scale: 10 }],
  time: ['time(7)', { scale: 7 }],
  datetime2: ['datetime2(7)', { scale: 7 }],
  datetimeoffset: ['datetimeoffset(7)', { scale: 7 }],
  char: ['char(10)', { maxLengthBytes: 10 }],
  varchar: ['varchar(50)', { maxLengthBytes: 50 }],
  nchar: ['nchar(10)', { maxLengthBytes: 20 }],
  nvarchar: ['nvarchar(50)', { maxLengthBytes: 100 }],
  binary: ['binary(16)', { maxLengthBytes: 16 }],
  varbinary: ['varbinary(100)', { maxLengthBytes: 100 }],
  timestamp: ['rowversion', { maxLengthBytes: 8 }],
};

const FURTHER: [type: string, spelled: string, column: Partial<MappedColumn>][] = [
  ['datetime2', 'datetime2(3)', { scale: 3 }],
  ['varchar', 'varchar(max)', { maxLengthBytes: -1 }],
  ['nvarchar', 'nvarchar(max)', { maxLengthBytes: -1 }],
  ['varbinary', 'varbinary(max)', { maxLengthBytes: -1 }],
];

/** `types`: the mapping. `conversions`: what `type_overrides` may ask for. */
export function typeParts(): [string, string][] {
  return [
    ['types', mappingTable()],
    ['conversions', conversionTable()],
  ];
}

function mappingTable(): string {
  const rows = SOURCE_TYPES.flatMap((type) => {
    const [spelled, column] = EXAMPLES[type] ?? [type, {}];
    const others = FURTHER.filter(([of]) => of === type);
    return [row(type, spelled, column), ...others.map(([, ...other]) => row(type, ...other))];
  });
  return table(['SQL Server', 'PostgreSQL', 'lost', 'as a key', 'hashed by SQL Server'], rows);
}

function row(type: string, spelled: string, changes: Partial<MappedColumn>): string[] {
  const { column } = ofType(type, spelled, { maxLengthBytes: 16, ...changes }, []);
  const { pgType, loses, keyText, hash } = mapColumn(column);
  const key = keyText === null ? 'bounds no range' : hash.ordered ? 'ranges' : 'ranges; compared by its hash';
  return [
    code(spelled),
    code(pgType),
    loses ?? 'nothing',
    key,
    hash.sourceBytes === null ? 'no: its rows are streamed' : 'yes',
  ];
}

function conversionTable(): string {
  const byTargets = new Map<string, string[]>();
  for (const type of SOURCE_TYPES) {
    for (const to of conversionsFrom(type)) byTargets.set(to, [...(byTargets.get(to) ?? []), type]);
  }
  return table(
    ['SQL Server', 'may become'],
    [...byTargets].map(([to, types]) => [list(types.map(written)), to]),
  );
}

/** What the catalog calls timestamp is written rowversion, not to be taken for a moment. */
function written(type: string): string {
  return type === 'timestamp' ? 'rowversion' : type;
}
