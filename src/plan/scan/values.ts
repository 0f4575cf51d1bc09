/**
 * What single values of a table may be in the way with: T-SQL conditions over one row, all of them asked in one pass.
 *
 * Pure; runs on the main thread. Text can't be too long for its target: every varchar(n) that a column may become
 * holds at least the characters its source holds, or the configuration is refused.
 */
import { MAX_FIELD_BYTES } from '../../copy/frame.js';
import type { NulPolicy } from '../../copy/text.js';
import { quote } from '../../source/sql.js';
import { mapColumn } from '../../types/index.js';
import { nvarcharOf } from '../../types/text.js';
import { copiedColumns, type PlannedColumn, type TablePlan } from '../model.js';
import type { Suspicion } from './finding.js';
import { wideIndexes } from './indexRows.js';
import { wideRows } from './wideRows.js';

/** A suspicion that a condition over the row `t` tells. */
export interface ValueProbe extends Suspicion {
  condition: string;
}

export interface ScanOptions {
  nul: NulPolicy;
  /** The source has `_UTF8` collations (SQL Server 2019). */
  utf8: boolean;
}

const TEXTS = new Set(['char', 'varchar', 'text', 'nchar', 'nvarchar', 'ntext']);
const LARGE = new Set(['text', 'ntext', 'image']);
/** Other collations take U+0000, and halves of surrogate pairs, for nothing at all. */
const BY_CODE_UNIT = 'COLLATE Latin1_General_BIN2';
const RANGES: Record<string, bigint> = { smallint: 2n ** 15n, integer: 2n ** 31n, bigint: 2n ** 63n };

/** @returns everything that single rows of the table might be in the way with. */
export function valueProbes(plan: TablePlan, options: ScanOptions): ValueProbe[] {
  return [
    ...copiedColumns(plan).flatMap((column) => [
      ...textProbes(column, options.nul),
      ...momentProbes(column),
      ...rangeProbes(column),
      ...sizeProbes(column),
    ]),
    ...wideIndexes(plan, options),
    ...wideRows(plan, options),
    ...checkProbes(plan),
  ];
}

const columnOf = ({ sourceName }: PlannedColumn): string => `t.${quote(sourceName)}`;

function textProbes(column: PlannedColumn, nul: NulPolicy): ValueProbe[] {
  const { source, sourceName } = column;
  if (!TEXTS.has(source.type)) return [];
  const text = `${nvarcharOf(source, Number.POSITIVE_INFINITY, columnOf(column))} ${BY_CODE_UNIT}`;
  const about = { column: sourceName, object: null, code: 'VALUE_UNREPRESENTABLE' as const };
  const probes: ValueProbe[] = [
    {
      ...about,
      kind: 'nul characters',
      severity: nul === 'error' ? 'fails' : 'alters',
      condition: `CHARINDEX(NCHAR(0) ${BY_CODE_UNIT}, ${text}) > 0`,
      effect:
        nul === 'error'
          ? 'PostgreSQL has no U+0000 in text, and migration.on_nul is error: the table would fail'
          : `U+0000 would be ${nul === 'strip' ? 'left out' : 'replaced'}, since migration.on_nul is ${nul}`,
      remedy:
        nul === 'error'
          ? 'Set migration.on_nul to strip or replace, or mend the rows in the source.'
          : 'Mend the rows in the source if that matters.',
    },
  ];
  if (!source.type.startsWith('n')) return probes;
  return [
    ...probes,
    {
      ...about,
      kind: 'unpaired surrogates',
      severity: 'fails',
      condition: halfPair(text),
      effect: 'half of a UTF-16 surrogate pair has no UTF-8 form: the table would fail',
      remedy: 'Mend the rows in the source: such text was cut in the middle of a character.',
    },
  ];
}

/** A dot on either side, so that what stands first or last has a neighbour, too. */
function halfPair(text: string): string {
  const set = (from: string, to: string, not = ''): string =>
    `N'[${not}' + ${unit(from)} + N'-' + ${unit(to)} + N']'`;
  const [high, low] = [set('00D8', 'FFDB'), set('00DC', 'FFDF')];
  const [notHigh, notLow] = [set('00D8', 'FFDB', '^'), set('00DC', 'FFDF', '^')];
  const like = (...parts: string[]): string =>
    `N'.' + ${text} + N'.' LIKE N'%' + ${parts.join(' + ')} + N'%' ${BY_CODE_UNIT}`;
  return `(${like(high, notLow)} OR ${like(notHigh, low)})`;
}

/** A UTF-16 code unit by its bytes: NCHAR of the same number depends on the database's collation. */
function unit(littleEndian: string): string {
  return `CONVERT(nvarchar(1), 0x${littleEndian})`;
}

function momentProbes(column: PlannedColumn): ValueProbe[] {
  const { source, sourceName, pgType } = column;
  if (mapColumn(source).loses === null) return [];
  const name = columnOf(column);
  const about = {
    column: sourceName,
    object: null,
    severity: 'alters' as const,
    code: 'VALUE_UNREPRESENTABLE' as const,
  };
  const probes: ValueProbe[] = [];
  if (source.type === 'datetimeoffset') {
    probes.push({
      ...about,
      kind: 'lost offset',
      condition: `DATEPART(TZOFFSET, ${name}) <> 0`,
      effect: `the offset would be lost: ${pgType} keeps the instant only`,
      remedy: 'To keep it, set migration.datetimeoffset: text, or the column in migration.type_overrides.',
    });
  }
  if (['time', 'datetime2', 'datetimeoffset'].includes(source.type) && source.scale === 7) {
    probes.push({
      ...about,
      kind: 'lost 7th digit',
      condition: `DATEPART(NANOSECOND, ${name}) % 1000 <> 0`,
      effect: `the 7th digit of the second would be lost: ${pgType} has six`,
      remedy: 'To keep it, make the column text in migration.type_overrides.',
    });
  }
  return probes;
}

/**
 * Checks that the source does not trust. Their T-SQL is the source's own, and known to be a condition over columns: it
 * was translated, functions of the database's own are not.
 */
function checkProbes(plan: TablePlan): ValueProbe[] {
  return plan.objects.checks.flatMap(({ name, untrusted }) =>
    untrusted === undefined
      ? []
      : [
          {
            kind: 'broken check' as const,
            severity: 'warns' as const,
            column: null,
            object: name,
            condition: `NOT (${untrusted})`,
            effect: `these rows break ${name}, which the source does not trust: it is made NOT VALID and does not check them until they are changed`,
            remedy:
              'Mend or delete the rows in the source, and check it there: ALTER TABLE ... WITH CHECK CHECK CONSTRAINT.',
            code: 'TARGET_QUERY' as const,
          },
        ],
  );
}

/** Numbers that an override gives less room. */
function rangeProbes(column: PlannedColumn): ValueProbe[] {
  const { source, sourceName, pgType } = column;
  const limit = source.as === undefined ? undefined : RANGES[pgType];
  if (limit === undefined || source.type === 'timestamp' || source.type === 'bit') return [];
  return [
    {
      kind: 'out of range',
      severity: 'fails',
      column: sourceName,
      object: null,
      condition: `${columnOf(column)} NOT BETWEEN ${-limit} AND ${limit - 1n}`,
      effect: `the value has no place in ${pgType}: the table would fail`,
      remedy: 'Choose a larger type in migration.type_overrides.',
      code: 'VALUE_UNREPRESENTABLE',
    },
  ];
}

function sizeProbes(column: PlannedColumn): ValueProbe[] {
  const { source, sourceName } = column;
  if (source.maxLengthBytes !== -1 && !LARGE.has(source.type)) return [];
  if (!TEXTS.has(source.type) && source.type !== 'varbinary' && source.type !== 'image') return [];
  // A UTF-16 unit is three bytes of UTF-8 at most; a byte of a code page is one at least.
  const national = source.type.startsWith('n');
  const limit = national ? Math.floor((MAX_FIELD_BYTES / 3) * 2) : MAX_FIELD_BYTES;
  return [
    {
      kind: 'too large',
      severity: national ? 'warns' : 'fails',
      column: sourceName,
      object: null,
      condition: `DATALENGTH(${columnOf(column)}) > ${limit}`,
      effect: national
        ? 'as UTF-8 the value may be larger than the 1 GB PostgreSQL takes: the table would then fail'
        : 'the value is larger than the 1 GB PostgreSQL takes: the table would fail',
      remedy: 'Split or shorten the value in the source, or exclude the table.',
      code: 'VALUE_TOO_LARGE',
    },
  ];
}
