/**
 * The tables that are moved: T-SQL that makes each, with the few thousand rows the replay source repeats. Pure.
 *
 * Every table's first column is `Id`, an int counting from 1, its primary key. Values follow from the row's number.
 */
import { prose, stackOverflowTable } from '../test/support/stackOverflow.js';

export interface Shape {
  name: ShapeName;
  /** What a person should know of it. */
  what: string;
  table: string;
  /** Rows that are really there: enough for a few MB, so that no cache holds them twice. */
  templateRows: number;
  /** Creates and fills the table; batches end with GO. */
  script: (rows: number) => string;
  /** What an UPDATE sets in the target to make rows differ from the source. */
  change: string;
  /** Rows of a quick run, and of a full one. */
  quickRows: number;
  fullRows: number;
}

export const SHAPE_NAMES = ['votes', 'comments', 'posts', 'world', 'decimals', 'mixed', 'blobs'] as const;
export type ShapeName = (typeof SHAPE_NAMES)[number];

export const shapes: Record<ShapeName, Shape> = {
  votes: {
    name: 'votes',
    what: '6 narrow columns, Stack Overflow',
    table: 'Votes',
    templateRows: 65_536,
    script: (rows) => stackOverflowTable('Votes', rows),
    change: '"VoteTypeId" = "VoteTypeId" + 1',
    quickRows: 2_000_000,
    fullRows: 10_000_000,
  },
  comments: {
    name: 'comments',
    what: '6 columns with a short text, Stack Overflow',
    table: 'Comments',
    templateRows: 8192,
    script: (rows) => english(stackOverflowTable('Comments', rows)),
    change: '"PostId" = "PostId" + 1',
    quickRows: 2_000_000,
    fullRows: 4_000_000,
  },
  posts: {
    name: 'posts',
    what: '20 columns with long text, Stack Overflow',
    table: 'Posts',
    templateRows: 2048,
    script: (rows) => english(stackOverflowTable('Posts', rows)),
    change: '"Score" = "Score" + 1',
    quickRows: 400_000,
    fullRows: 500_000,
  },
  world: {
    name: 'world',
    what: 'posts, with letters beyond ASCII in every text',
    table: 'Posts',
    templateRows: 2048,
    script: (rows) => stackOverflowTable('Posts', rows),
    change: '"Score" = "Score" + 1',
    quickRows: 200_000,
    fullRows: 500_000,
  },
  decimals: {
    name: 'decimals',
    what: '5 decimals and 3 GUIDs',
    table: 'Ledger',
    templateRows: 16_384,
    script: decimals,
    change: '"Price" = "Price" + 1',
    quickRows: 500_000,
    fullRows: 4_000_000,
  },
  mixed: {
    name: 'mixed',
    what: '120 columns of many types, two thirds of the values NULL',
    table: 'Wide',
    templateRows: 4096,
    script: mixed,
    change: '"c1" = COALESCE("c1", 0) + 1',
    quickRows: 100_000,
    fullRows: 300_000,
  },
  blobs: {
    name: 'blobs',
    what: 'varbinary(max) of 1 MB',
    table: 'Files',
    templateRows: 16,
    script: blobs,
    change: `"Name" = "Name" || 'x'`,
    quickRows: 200,
    fullRows: 500,
  },
};

/** What most of Stack Overflow's text is like; one row in forty or fifty has a character beyond ASCII all the same. */
const ENGLISH = [
  'I have a table with about ten million rows and <code>SELECT COUNT(*)</code> takes minutes. ',
  'What is the proper way to do this without locking every reader out? I tried an indexed view, ',
  'but the simple version deadlocks -- see the trace below. The order of the keys must not change; ',
  'the report runs once an hour, and nobody looks at it. Also &lt;T&gt; must not be escaped twice, ',
  'which is why the wrapper returns an enumerator "as is". Any pointers to the documentation are welcome. ',
].join('');

/** The tests' generated text has letters of five scripts in every sentence, which the real tables have not. */
function english(script: string): string {
  if (!script.includes(prose)) throw new Error('the script has no text to replace');
  return script.replaceAll(prose, ENGLISH);
}

const n = 's.value';

/** Fills `table` from expressions over the row's number. */
function table(name: string, rows: number, columns: Record<string, readonly [type: string, value: string]>) {
  const names = Object.keys(columns);
  const declared = names.map((column) => `[${column}] ${columns[column]![0]}`).join(',\n  ');
  return `CREATE TABLE dbo.${name} (Id int NOT NULL,\n  ${declared},\n  CONSTRAINT PK_${name} PRIMARY KEY CLUSTERED (Id));
GO
INSERT INTO dbo.${name} (Id, ${names.map((column) => `[${column}]`).join(', ')})
SELECT CAST(${n} AS int), ${names.map((column) => columns[column]![1]).join(',\n  ')}
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${rows} AS bigint)) AS s
ORDER BY ${n};`;
}

const guid = (salt: string) => `CONVERT(uniqueidentifier, HASHBYTES('MD5', CONCAT(N'${salt}', ${n})))`;
const decimal = (precision: number, scale: number, factor: number, divisor: number) =>
  [
    `decimal(${precision},${scale}) NOT NULL`,
    `CONVERT(decimal(${precision},${scale}), CONVERT(decimal(28,8), (${n} * ${factor} % 100000007) - 50000000) / ${divisor})`,
  ] as const;

function decimals(rows: number): string {
  return table('Ledger', rows, {
    Account: ['uniqueidentifier NOT NULL', guid('account')],
    Document: ['uniqueidentifier NOT NULL', guid('document')],
    Reversal: ['uniqueidentifier NULL', `CASE WHEN ${n} % 9 = 0 THEN ${guid('reversal')} ELSE NULL END`],
    Price: decimal(9, 2, 7919, 100),
    Amount: decimal(19, 4, 104_729, 16),
    Rate: decimal(28, 10, 1_299_709, 7),
    Balance: decimal(38, 6, 15_485_863, 3),
    Fee: ['money NOT NULL', `CONVERT(money, CONVERT(decimal(19,4), ${n} * 31 % 99991) / 16)`],
  });
}

/** Ten types over and over; two of three values are NULL, so that rows are NBCROW. */
function mixed(rows: number): string {
  const types: [string, (column: number) => string][] = [
    ['int', (c) => `CAST(${n} * ${c + 3} % 1000003 AS int)`],
    ['bigint', (c) => `${n} * ${c + 5} * 1000003`],
    ['nvarchar(40)', (c) => `CONCAT(N'column ${c}, row ', ${n})`],
    [
      'datetime',
      (c) => `DATEADD(second, ${n} * ${c + 7} % 76000000, CAST('2008-07-31T21:42:52' AS datetime))`,
    ],
    [
      'decimal(18,4)',
      (c) => `CONVERT(decimal(18,4), CONVERT(decimal(18,4), ${n} * ${c + 11} % 1000003) / 8)`,
    ],
    ['bit', (c) => `CAST((${n} + ${c}) % 2 AS bit)`],
    ['float', (c) => `CAST(${n} * ${c + 13} % 1000003 AS float) / 8`],
    ['varchar(20)', (c) => `CONCAT('v', ${n} * ${c + 17} % 99991)`],
    ['date', (c) => `DATEADD(day, CAST(${n} * ${c + 19} % 9000 AS int), CAST('2001-02-03' AS date))`],
    ['uniqueidentifier', (c) => guid(`c${c}`)],
  ];
  const columns = Array.from({ length: 119 }, (_, i) => {
    const [type, value] = types[i % types.length]!;
    const filled = `CASE WHEN (${n} + ${i}) % 3 = 0 THEN ${value(i)} ELSE NULL END`;
    return [`c${i + 1}`, [`${type} NULL`, filled]] as const;
  });
  return table('Wide', rows, Object.fromEntries(columns));
}

const BLOB_BYTES = 1024 * 1024;

/** Bytes that don't compress, so that PostgreSQL has to take them as they are. */
function blobs(rows: number): string {
  let state = 0x2545_f491;
  const values = Array.from({ length: rows }, (_, i) => {
    const bytes = Buffer.alloc(BLOB_BYTES);
    for (let at = 0; at < BLOB_BYTES; at += 4) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes.writeInt32LE(state, at);
    }
    return `INSERT INTO dbo.Files (Id, Name, Content) VALUES (${i + 1}, N'file ${i + 1}', 0x${bytes.toString('hex')});`;
  });
  return `CREATE TABLE dbo.Files (Id int NOT NULL, Name nvarchar(60) NOT NULL, Content varbinary(max) NOT NULL,
  CONSTRAINT PK_Files PRIMARY KEY CLUSTERED (Id));
GO
${values.join('\nGO\n')}`;
}
