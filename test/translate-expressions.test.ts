/**
 * The translator: its PostgreSQL text, and what PostgreSQL makes of that text on a row, against hand-worked results.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import {
  type CatalogType,
  columnType,
  type TranslateContext,
  translateCondition,
  translateDefault,
  translateScalar,
} from '../src/translate/translate.js';
import { conditions, scalars } from './fixtures/translations.js';
import { sharedPostgres, type TestPostgres } from './support/postgres.js';

const CI = 'SQL_Latin1_General_CP1_CI_AS';
const plain = (type: string): CatalogType => ({
  type,
  maxLengthBytes: 0,
  precision: 0,
  scale: ['time', 'datetime2', 'datetimeoffset'].includes(type) ? 7 : 0,
  collation: null,
});
const scaled = (type: string, scale: number): CatalogType => ({ ...plain(type), scale });
const text = (type: string, maxLengthBytes: number, collation = CI): CatalogType => ({
  ...plain(type),
  maxLengthBytes,
  collation,
});

/** Name, SQL Server type, PostgreSQL type, value in the sample row. */
const COLUMNS: [string, CatalogType, string, string][] = [
  ['i', plain('int'), 'integer', '7'],
  ['z', plain('int'), 'integer', 'NULL'],
  ['d', { ...plain('decimal'), precision: 10, scale: 2 }, 'numeric(10,2)', '12.35'],
  ['m', plain('money'), 'numeric(19,4)', '19.99'],
  ['f', plain('float'), 'double precision', '2.5'],
  ['r', plain('real'), 'real', '0.1'],
  ['flag', plain('bit'), 'boolean', 'true'],
  ['s', text('varchar', 20), 'varchar(20)', `'Abc '`],
  ['n', text('nvarchar', 40), 'varchar(20)', `'Déf'`],
  ['c', text('char', 5), 'char(5)', `'ab'`],
  ['cs', text('varchar', 20, 'Latin1_General_CS_AS'), 'varchar(20)', `'Abc'`],
  ['bin', text('varchar', 20, 'Latin1_General_BIN2'), 'varchar(20)', `'Xyz'`],
  ['ai', text('varchar', 20, 'Latin1_General_CI_AI'), 'varchar(20)', `'x'`],
  ['mail', text('varchar', 50), 'varchar(50)', `'ann@example.org'`],
  ['code', text('varchar', 10), 'varchar(10)', `'123-4'`],
  ['pct', text('varchar', 10), 'varchar(10)', `'10%'`],
  ['b', { ...plain('varbinary'), maxLengthBytes: 20 }, 'bytea', `'\\x010203'`],
  ['g', plain('uniqueidentifier'), 'uuid', `'0e984725-c51c-4bf4-9960-e1c80e27aba0'`],
  ['day', plain('date'), 'date', `'2023-12-31'`],
  ['t', plain('datetime2'), 'timestamp', `'2024-02-29 23:59:58.123'`],
  ['dt', plain('datetime'), 'timestamp', `'2024-01-15 08:00:00'`],
  ['o', plain('datetimeoffset'), 'timestamptz', `'2024-03-30 00:30:00+01'`],
  ['x', plain('xml'), 'text', `'<a/>'`],
];
const types = new Map(COLUMNS.map(([name, type]) => [name.toLowerCase(), { name, type: columnType(type) }]));
const context: TranslateContext = {
  column: (name) => {
    const found = types.get(name.toLowerCase());
    return found === undefined ? null : { sql: `"${found.name}"`, type: found.type };
  },
  sequence: (schema, name) => (name === 'Seq' ? `"${schema}"."Seq"` : null),
  databaseCollation: CI,
  pgVersion: 180_000,
};

let server: TestPostgres;
let client: pg.Client;
before(async () => {
  server = await sharedPostgres();
  client = await server.client();
  await client.query(`SET timezone = 'UTC'`);
  await client.query(
    `CREATE TABLE sample (${COLUMNS.map(([name, , type]) => `"${name}" ${type}`).join(', ')})`,
  );
  await client.query(`INSERT INTO sample VALUES (${COLUMNS.map(([, , , value]) => value).join(', ')})`);
});
after(async () => {
  await client?.end();
  await server?.stop();
});

async function evaluate(sql: string): Promise<string | null> {
  const types = { getTypeParser: () => (value: string) => value };
  const { rows } = await client.query<(string | null)[]>({
    text: `SELECT ${sql} FROM sample`,
    rowMode: 'array',
    types,
  });
  return rows[0]?.[0] ?? null;
}

describe('values', () => {
  for (const [tsql, postgres, value] of scalars) {
    test(tsql, async () => {
      assert.deepEqual({ ...translateScalar(tsql, context), caveats: [] }, { sql: postgres, caveats: [] });
      const [user] = (await client.query<{ user: string }>('SELECT session_user AS user')).rows;
      // Numbers are compared as numbers: 2.50 and 2.5 are the same.
      const found = await evaluate(/^'/.test(postgres) ? postgres : `(${postgres})`);
      assert.equal(canonical(found), canonical(value === '$user' ? (user?.user ?? '') : value));
    });
  }
});

function canonical(value: string | null): string | null {
  if (value === null || !/^-?\d+(\.\d+)?$/.test(value))
    return value === 't' ? 'true' : value === 'f' ? 'false' : value;
  return value.includes('.') ? value.replace(/\.?0+$/, '') : value;
}

describe('conditions', () => {
  for (const [tsql, postgres, value] of conditions) {
    test(tsql, async () => {
      assert.deepEqual({ ...translateCondition(tsql, context), caveats: [] }, { sql: postgres, caveats: [] });
      assert.equal(await evaluate(`(${postgres})`), value);
    });
  }
});

describe('defaults', () => {
  const varchar = text('varchar', 20);
  const cases: [tsql: string, type: CatalogType, postgres: string][] = [
    ['((0))', plain('bit'), 'false'],
    ['((1))', plain('bit'), 'true'],
    [`('true')`, plain('bit'), 'true'],
    ['((0))', plain('int'), '0'],
    ['((0))', plain('tinyint'), '0'],
    ['((-7))', plain('smallint'), '(-7)'],
    ['((0))', { ...plain('decimal'), precision: 9, scale: 2 }, '0'],
    ['((0))', varchar, `'0'`],
    [`(N'new')`, varchar, `'new'`],
    ['(NULL)', varchar, 'NULL'],
    ['(getdate())', plain('datetime'), 'CAST(statement_timestamp() AS timestamp(3))'],
    ['(getdate())', plain('datetime2'), 'CAST(statement_timestamp() AS timestamp(3))'],
    ['(getdate())', plain('date'), 'CAST(CAST(statement_timestamp() AS timestamp(3)) AS date)'],
    ['(CURRENT_TIMESTAMP)', plain('datetime'), 'CAST(statement_timestamp() AS timestamp(3))'],
    ['(sysdatetime())', plain('datetime2'), 'CAST(statement_timestamp() AS timestamp)'],
    ['(sysutcdatetime())', plain('datetime2'), `statement_timestamp() AT TIME ZONE 'UTC'`],
    ['(getutcdate())', plain('datetime'), `CAST(statement_timestamp() AT TIME ZONE 'UTC' AS timestamp(3))`],
    [
      '(sysutcdatetime())',
      scaled('datetime2', 3),
      `CAST(statement_timestamp() AT TIME ZONE 'UTC' AS timestamp(3))`,
    ],
    [
      '(getdate())',
      scaled('datetime2', 0),
      'CAST(CAST(statement_timestamp() AS timestamp(3)) AS timestamp(0))',
    ],
    ['(sysdatetime())', plain('datetime'), 'CAST(CAST(statement_timestamp() AS timestamp) AS timestamp(3))'],
    [
      '(getdate())',
      plain('smalldatetime'),
      `date_trunc('minute', CAST(statement_timestamp() AS timestamp(3)) + INTERVAL '30 seconds')`,
    ],
    [
      '(sysdatetime())',
      scaled('time', 0),
      'CAST(CAST(CAST(statement_timestamp() AS timestamp) AS timestamp(0)) AS time)',
    ],
    ['(sysdatetimeoffset())', scaled('datetimeoffset', 2), 'CAST(statement_timestamp() AS timestamptz(2))'],
    ['(sysdatetimeoffset())', plain('datetimeoffset'), 'statement_timestamp()'],
    [`('19000101')`, plain('datetime'), `TIMESTAMP '1900-01-01 00:00:00'`],
    ['((0))', plain('datetime'), `TIMESTAMP '1900-01-01 00:00:00'`],
    [`('00:00')`, plain('time'), `TIME '00:00'`],
    [`('9999-12-31 23:59:59.9999999')`, plain('datetime2'), `TIMESTAMP '9999-12-31 23:59:59.999999'`],
    [`('23:59:59.9999990')`, plain('time'), `TIME '23:59:59.999999'`],
    ['(newid())', plain('uniqueidentifier'), 'gen_random_uuid()'],
    ['(newsequentialid())', plain('uniqueidentifier'), 'gen_random_uuid()'],
    ['(NEXT VALUE FOR [app].[Seq])', plain('bigint'), `nextval('"app"."Seq"'::regclass)`],
    ['(NEXT VALUE FOR [app].[Seq])', plain('int'), `CAST(nextval('"app"."Seq"'::regclass) AS integer)`],
    ['(0x00)', { ...plain('varbinary'), maxLengthBytes: 8 }, `'\\x00'::bytea`],
    ['(suser_sname())', text('nvarchar', 256), 'CAST(session_user AS text)'],
    ['(($0.0000))', plain('money'), '0.0000'],
  ];
  for (const [tsql, type, postgres] of cases) {
    test(`${tsql} of ${type.type}`, async () => {
      const found = translateDefault(tsql, columnType(type), context);
      assert.deepEqual({ ...found, caveats: [] }, { sql: postgres, caveats: [] });
      if (!postgres.startsWith('nextval') && !postgres.includes('"app"')) await evaluate(postgres);
    });
  }
});

describe('what is left out, and why', () => {
  const cases: [tsql: string, reason: RegExp][] = [
    ['([dbo].[IsValid]([i])=(1))', /function of the source database/],
    ["([s]>'m')", /order strings differently/],
    [`([ai]='x')`, /accents/],
    [`([g]>'0E984725-C51C-4BF4-9960-E1C80E27ABA0')`, /order uniqueidentifier/],
    [`([s] like '[a-c]%')`, /sorts between/],
    [`([s] like [n])`, /no literal/],
    ['([s]=(1))', /reads the string as a number/],
    ['([d]/(3)>(1))', /quotient of decimals/],
    ['([nowhere]=(1))', /no column/],
    ['(isdate([s])=(1))', /ISDATE has no exact translation/],
    ['', /hidden from this login/],
    ['([i])', /a value stands where a condition/],
    ['([i]=(1)', /ends too early/],
    ['([i]=(1)) extra', /extra is not understood/],
    ['([i]=@p)', /variable/],
    [`([x]='a')`, /xml/],
    [`(datepart(weekday,[t])=(1))`, /DATEFIRST/],
    [`(datepart(hour,[o])=(1))`, /offset/],
    [`([t]>'01/02/2024')`, /settings of the session/],
    [`(try_cast([s] AS [int]) IS NOT NULL)`, /TRY_CAST/],
    [`(left([s],[i])='x')`, /negative/],
    [`([c]+'x'='abx')`, /trailing blanks/],
    [`(replace([s],'b','')='ac')`, /collation/],
    ['([t]+(1)>[t])', /datetime/],
    ['(CONVERT([datetime],[t])>[t])', /no exact translation/],
    ['(isnull([t],[dt])>[t])', /1\/300 s/],
    ['(CONVERT([datetime2](1),[t])>[t])', /rounded to 1 fractional digits/],
    ['(CONVERT([smalldatetime],[t])>[t])', /rounded to 0/],
    ['([i]+NULL>(1))', /null/],
    [`(CONVERT([varchar](10),[i])='1')`, /too long/],
    [`(datalength([s])>(1))`, /stores it/],
    ['(rand()>(0.5))', /RAND/],
    ['(exists(select 1))', /not understood/],
    [`(row_number() over (order by [i])>(1))`, /window/],
  ];
  for (const [tsql, reason] of cases) {
    test(tsql, () => {
      const found = translateCondition(tsql, context);
      assert.ok('untranslated' in found, JSON.stringify(found));
      assert.match(found.untranslated, reason);
    });
  }

  test('what would take all of the stack', () => {
    const deep: [tsql: string, reason: RegExp][] = [
      [`${'('.repeat(10_000)}[i]=(1)${')'.repeat(10_000)}`, /nested too deeply/],
      [`[i]=(1)${' OR [i]=(2)'.repeat(10_000)}`, /more than 3000 operators/],
      [`[i]=(1)${' AND [i]<>(2)'.repeat(10_000)}`, /more than 3000 operators/],
      [`[i]${'+[i]'.repeat(10_000)}>(1)`, /more than 3000 operators/],
      [`[i]${'*[i]'.repeat(10_000)}>(1)`, /more than 3000 operators/],
    ];
    for (const [tsql, reason] of deep) {
      const found = translateCondition(tsql, context);
      assert.match('untranslated' in found ? found.untranslated : '', reason);
    }
    assert.ok('sql' in translateCondition(`[i]=(1)${' OR [i]=(2)'.repeat(3000)}`, context));
  });

  test('a default of a type that only text stands for', () => {
    const found = translateDefault(`('<a/>')`, columnType(plain('xml')), context);
    assert.ok('untranslated' in found);
  });
});

test('caveats say where a rare value would be treated differently', () => {
  const caveats = (tsql: string): string[] => {
    const found = translateCondition(tsql, context);
    return 'sql' in found ? found.caveats : assert.fail(found.untranslated);
  };
  assert.deepEqual(caveats('([i]=(1))'), []);
  assert.deepEqual(caveats(`([s]='a')`), ['strings are compared without case, by lower()']);
  assert.deepEqual(caveats(`([code] like '[0-9]%')`), ['[0-9] stands for ASCII digits only']);
  assert.match(caveats('(len([n])>(1))')[0] ?? '', /U\+FFFF/);
  assert.deepEqual(caveats(`([t]<='9999-12-31T23:59:59.9999999')`), ['the 7th fractional digit is floored']);
});

test('any string literal arrives as it is, and no text makes the translator throw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 30 }), async (value) => {
      fc.pre(!value.includes('\0') && value.isWellFormed());
      const found = translateScalar(`(N'${value.replaceAll("'", "''")}')`, context);
      assert.ok('sql' in found);
      assert.equal(await evaluate(found.sql), value);
    }),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (garbage) => {
      translateCondition(garbage, context);
      translateScalar(garbage, context);
    }),
  );
  fc.assert(
    fc.property(
      fc.array(
        fc.constantFrom(
          ...`( ) [i] [s] 'a' 1 1.5 = < and or not in like is null case when then else end + - * / ,`.split(
            ' ',
          ),
        ),
        { maxLength: 14 },
      ),
      (words) => {
        translateCondition(words.join(' '), context);
      },
    ),
    { numRuns: 1000 },
  );
});

test('integer arithmetic has the value SQL Server gives, whatever the parentheses', async () => {
  type Tree = { sql: string; value: bigint } | null;
  const work = {
    '+': (a: bigint, b: bigint) => a + b,
    '-': (a: bigint, b: bigint) => a - b,
    '*': (a: bigint, b: bigint) => a * b,
    '/': (a: bigint, b: bigint) => a / b,
    '%': (a: bigint, b: bigint) => a % b,
  };
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.integer({ min: 0, max: 60 }).map((n) => ({ sql: `(${n})`, value: BigInt(n) })),
      fc.tuple(tie('tree'), fc.constantFrom('+', '-', '*', '/', '%'), tie('tree')).map(([a, operator, b]) => {
        if (a === null || b === null) return null;
        if ('/%'.includes(operator) && b.value === 0n) return null;
        const value = work[operator as keyof typeof work](a.value, b.value);
        return { sql: `(${a.sql}${operator}${b.sql})`, value };
      }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(tree, async (one) => {
      fc.pre(one !== null && one.value < 2n ** 31n && one.value > -(2n ** 31n));
      const found = translateScalar((one as { sql: string }).sql, context);
      assert.ok('sql' in found, JSON.stringify(found));
      const value = await evaluate(`(${found.sql})`).catch((error: Error) => error.message);
      assert.ok(value === String(one?.value) || value === 'integer out of range', `${found.sql} = ${value}`);
    }),
    { numRuns: 100 },
  );
});
