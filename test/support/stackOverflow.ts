/**
 * T-SQL scripts that build a database in the shape of Stack Overflow 2010, at any size.
 *
 * Runs wherever a test or the demo needs it; the scripts are plain T-SQL of SQL Server 2022 (GENERATE_SERIES).
 * Tables, columns and proportions are those of the StackOverflow2010 database; it has nine tables, and `Tags`
 * of the same data dump makes the tenth. Every value follows from its row's number: two builds are alike.
 */

/** Rows of the real database, and the table's share of any scaled-down one. `Tags` is an estimate. */
export const stackOverflow2010Rows = {
  Badges: 1_102_019,
  Comments: 3_875_183,
  LinkTypes: 2,
  PostLinks: 161_519,
  PostTypes: 8,
  Posts: 3_729_195,
  Tags: 29_000,
  Users: 299_398,
  VoteTypes: 15,
  Votes: 10_143_364,
} as const;

export type StackOverflowTable = keyof typeof stackOverflow2010Rows;

/** The small tables, which are never scaled: each value is a row, in order of its Id. */
const smallTables = {
  LinkTypes: ['Linked', 'Duplicate'],
  PostTypes: [
    'Question',
    'Answer',
    'Wiki',
    'TagWikiExcerpt',
    'TagWiki',
    'ModeratorNomination',
    'WikiPlaceholder',
    'PrivilegeWiki',
  ],
  VoteTypes: [
    'AcceptedByOriginator',
    'UpMod',
    'DownMod',
    'Offensive',
    'Favorite',
    'Close',
    'Reopen',
    'BountyStart',
    'BountyClose',
    'Deletion',
    'Undeletion',
    'Spam',
    'InformModerator',
    'ModeratorReview',
    'ApproveEditSuggestion',
  ],
} as const;

/** @returns each table's rows in a database of about `rows` rows in all, in the real proportions. */
export function stackOverflowCounts(rows: number): Record<StackOverflowTable, number> {
  const total = Object.values(stackOverflow2010Rows).reduce((sum, count) => sum + count, 0);
  const scaled = Object.entries(stackOverflow2010Rows).map(([table, count]) => [
    table,
    table in smallTables ? count : Math.max(1, Math.round((count * rows) / total)),
  ]);
  return Object.fromEntries(scaled) as Record<StackOverflowTable, number>;
}

export interface TableScript {
  table: StackOverflowTable;
  rows: number;
  /** Creates and fills the table; batches end with GO. */
  script: string;
}

/** One script a table, in an order that runs; about `rows` rows in all. */
export function stackOverflowScripts(rows: number): TableScript[] {
  const counts = stackOverflowCounts(rows);
  return (Object.keys(counts) as StackOverflowTable[]).map((table) => ({
    table,
    rows: counts[table],
    script: `${createTable(table)}\nGO\n${fillTable(table, counts)}`,
  }));
}

/** @returns a script that creates one table alone and fills it with exactly `rows` rows. */
export function stackOverflowTable(table: 'Votes' | 'Comments' | 'Posts', rows: number): string {
  return `${createTable(table)}\nGO\n${fillTable(table, { ...stackOverflow2010Rows, [table]: rows })}`;
}

const columns: Record<StackOverflowTable, string> = {
  Badges: 'Name nvarchar(40) NOT NULL, UserId int NOT NULL, Date datetime NOT NULL',
  Comments:
    'CreationDate datetime NOT NULL, PostId int NOT NULL, Score int NULL, Text nvarchar(700) NOT NULL, UserId int NULL',
  LinkTypes: 'Type varchar(50) NOT NULL',
  PostLinks:
    'CreationDate datetime NOT NULL, PostId int NOT NULL, RelatedPostId int NOT NULL, LinkTypeId int NOT NULL',
  PostTypes: 'Type nvarchar(50) NOT NULL',
  Posts: `AcceptedAnswerId int NULL, AnswerCount int NULL, Body nvarchar(max) NOT NULL, ClosedDate datetime NULL,
  CommentCount int NULL, CommunityOwnedDate datetime NULL, CreationDate datetime NOT NULL, FavoriteCount int NULL,
  LastActivityDate datetime NOT NULL, LastEditDate datetime NULL, LastEditorDisplayName nvarchar(40) NULL,
  LastEditorUserId int NULL, OwnerUserId int NULL, ParentId int NULL, PostTypeId int NOT NULL, Score int NOT NULL,
  Tags nvarchar(150) NULL, Title nvarchar(250) NULL, ViewCount int NOT NULL`,
  Tags: 'TagName nvarchar(150) NOT NULL, Count int NOT NULL, ExcerptPostId int NULL, WikiPostId int NULL',
  Users: `AboutMe nvarchar(max) NULL, Age int NULL, CreationDate datetime NOT NULL, DisplayName nvarchar(40) NOT NULL,
  DownVotes int NOT NULL, EmailHash nvarchar(40) NULL, LastAccessDate datetime NOT NULL, Location nvarchar(100) NULL,
  Reputation int NOT NULL, UpVotes int NOT NULL, Views int NOT NULL, WebsiteUrl nvarchar(200) NULL, AccountId int NULL`,
  VoteTypes: 'Name varchar(50) NOT NULL',
  Votes:
    'PostId int NOT NULL, UserId int NULL, BountyAmount int NULL, VoteTypeId int NOT NULL, CreationDate datetime NOT NULL',
};

function createTable(table: StackOverflowTable): string {
  return `CREATE TABLE dbo.${table} (
  Id int IDENTITY(1,1) NOT NULL, ${columns[table]},
  CONSTRAINT PK_${table}__Id PRIMARY KEY CLUSTERED (Id)
);`;
}

/** Every column but Id is an expression over `s.value`, the row's number as bigint (so products don't overflow). */
function fillTable(table: StackOverflowTable, counts: Record<StackOverflowTable, number>): string {
  if (table === 'LinkTypes' || table === 'PostTypes' || table === 'VoteTypes') {
    const name = table === 'VoteTypes' ? 'Name' : 'Type';
    const values = smallTables[table].map((value) => `(N'${value}')`).join(', ');
    return `INSERT INTO dbo.${table} (${name}) VALUES ${values};`;
  }
  const expressions = generated(counts)[table];
  return `SET IDENTITY_INSERT dbo.${table} ON;
INSERT INTO dbo.${table} (Id, ${Object.keys(expressions).join(', ')})
SELECT s.value, ${Object.values(expressions).join(',\n  ')}
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(${counts[table]} AS bigint)) AS s
ORDER BY s.value;
SET IDENTITY_INSERT dbo.${table} OFF;`;
}

const n = 's.value';
/** A second between the site's first day and the end of 2010; `spread` sets how rows walk through it. */
const moment = (spread: number) =>
  `DATEADD(millisecond, ${n} * 37 % 1000, DATEADD(second, ${n} * ${spread} % 76000000, CAST('2008-07-31T21:42:52' AS datetime)))`;
const sometimes = (every: number, value: string) =>
  `CASE WHEN ${n} % ${every} = 0 THEN ${value} ELSE NULL END`;
const pick = (step: number, choices: number) => `CAST(${n} * ${step} % ${choices} AS int)`;

/** Prose with markup and letters beyond ASCII, all in the basic plane: SUBSTRING may cut it anywhere. */
export const prose: string = [
  'I have a table with about ten million rows and <code>SELECT COUNT(*)</code> takes minutes. ',
  'What is the proper way to do this without locking every reader out? I tried an indexed view, ',
  'but the naïve version deadlocks — see the trace below. Größe und Länge müssen stimmen; ',
  '価格は税込みです。 Вопрос про кодировку тоже важен. Also &lt;T&gt; must not be escaped twice, ',
  'which is why the façade returns an enumerator “as is”. Any pointers to the documentation are welcome. ',
].join('');
const text = (least: number, more: number) =>
  `SUBSTRING(REPLICATE(N'${prose}', 5), CAST(1 + ${n} * 13 % 400 AS int), CAST(${least} + ${n} * 7919 % ${more} AS int))`;
/** Whole words from a list, so that names repeat as they do in life. */
const word = (list: string[], step: number) =>
  `CASE ${n} * ${step} % ${list.length} ${list.map((item, i) => `WHEN ${i} THEN N'${item}'`).join(' ')} END`;
const languages = [
  'c#',
  'java',
  'php',
  'javascript',
  'jquery',
  'python',
  'sql',
  '.net',
  'c++',
  'ruby-on-rails',
];

type Expressions = Record<string, string>;

function generated(
  counts: Record<StackOverflowTable, number>,
): Record<Exclude<StackOverflowTable, keyof typeof smallTables>, Expressions> {
  const user = (step: number) => `CAST(1 + ${n} * ${step} % ${counts.Users} AS int)`;
  const post = (step: number) => `CAST(1 + ${n} * ${step} % ${counts.Posts} AS int)`;
  const isQuestion = `${n} % 10 < 3`;
  const onQuestion = (value: string) => `CASE WHEN ${isQuestion} THEN ${value} ELSE NULL END`;
  return {
    Badges: {
      Name: word(
        ['Teacher', 'Student', 'Editor', 'Scholar', 'Supporter', 'Nice Answer', 'Yearling', 'Critic'],
        7,
      ),
      UserId: user(6151),
      Date: moment(68),
    },
    Comments: {
      CreationDate: moment(379),
      PostId: post(6367),
      Score: sometimes(3, pick(5, 9)),
      Text: `CONCAT(${text(15, 320)}, CASE WHEN ${n} % 40 = 0 THEN N' 😀' ELSE N'' END)`,
      UserId: `CASE WHEN ${n} % 60 = 0 THEN NULL ELSE ${user(31)} END`,
    },
    PostLinks: {
      CreationDate: moment(9001),
      PostId: post(4001),
      RelatedPostId: post(5003),
      LinkTypeId: `CASE WHEN ${n} % 9 = 0 THEN 2 ELSE 1 END`,
    },
    Posts: {
      AcceptedAnswerId: onQuestion(post(3)),
      AnswerCount: onQuestion(pick(11, 6)),
      Body: `CONCAT(N'<p>', ${text(60, 1400)}, CASE WHEN ${n} % 50 = 0 THEN N' 🐘' ELSE N'' END, N'</p>', NCHAR(10))`,
      ClosedDate: sometimes(70, moment(391)),
      CommentCount: pick(3, 7),
      CommunityOwnedDate: sometimes(90, moment(393)),
      CreationDate: moment(389),
      FavoriteCount: onQuestion(sometimes(4, pick(17, 25))),
      LastActivityDate: moment(397),
      LastEditDate: sometimes(3, moment(395)),
      LastEditorDisplayName: sometimes(200, `CONCAT(N'user', ${n})`),
      LastEditorUserId: sometimes(3, user(17)),
      OwnerUserId: `CASE WHEN ${n} % 45 = 0 THEN NULL ELSE ${user(29)} END`,
      ParentId: `CASE WHEN ${isQuestion} THEN NULL ELSE ${post(5)} END`,
      PostTypeId: `CASE WHEN ${isQuestion} THEN 1 ELSE 2 END`,
      Score: `CAST(${n} * 23 % 41 - 5 AS int)`,
      Tags: onQuestion(`CONCAT(N'<', ${word(languages, 3)}, N'><', ${word(languages, 7)}, N'>')`),
      Title: onQuestion(text(20, 70)),
      ViewCount: `CASE WHEN ${isQuestion} THEN ${pick(101, 48000)} ELSE 0 END`,
    },
    Tags: {
      TagName: `CONCAT(${word(languages, 1)}, N'-', ${n})`,
      Count: pick(331, 90000),
      ExcerptPostId: sometimes(3, post(41)),
      WikiPostId: sometimes(3, post(43)),
    },
    Users: {
      AboutMe: sometimes(4, `CONCAT(N'<p>', ${text(30, 900)}, N'</p>')`),
      Age: sometimes(3, `CAST(14 + ${n} * 7 % 60 AS int)`),
      CreationDate: moment(254),
      DisplayName: `CONCAT(${word(['Jeff', 'Zoë', 'Иван', 'Jürgen', '太郎', 'Anne-Marie', 'François', 'Sam'], 5)}, N' ', ${n})`,
      DownVotes: pick(3, 40),
      EmailHash: `LOWER(CONVERT(nvarchar(40), HASHBYTES('MD5', CONCAT(N'user', ${n})), 2))`,
      LastAccessDate: moment(257),
      Location: sometimes(
        3,
        word(['Berlin, Germany', 'Montréal, QC', '東京', 'São Paulo', 'Kraków', ''], 11),
      ),
      Reputation: `CAST(1 + ${n} * ${n} % 9973 AS int)`,
      UpVotes: pick(13, 700),
      Views: pick(19, 1500),
      WebsiteUrl: sometimes(4, `CONCAT(N'http://example.com/~', ${n})`),
      AccountId: `CAST(${n} * 3 + 1 AS int)`,
    },
    Votes: {
      PostId: post(7333),
      UserId: sometimes(25, user(37)),
      BountyAmount: sometimes(800, `CAST(50 + 50 * (${n} % 10) AS int)`),
      VoteTypeId: `CASE WHEN ${n} % 10 < 7 THEN 2 WHEN ${n} % 10 = 7 THEN 1 WHEN ${n} % 10 = 8 THEN 3 ELSE 5 END`,
      CreationDate: `DATEADD(day, ${n} * 7 % 880, CAST('2008-07-31T00:00:00' AS datetime))`,
    },
  };
}
