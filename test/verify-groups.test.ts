/** Tables whose key is one integer, compared by groups of keys: whatever changed, exactly that is named. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { connectTarget } from '../src/target/connection.js';
import { GroupComparison } from '../src/verify/groupComparison.js';
import { compareGroups, MAX_LOCATED_KEYS, totalsBytes } from '../src/verify/groupTotals.js';
import { HashingTarget } from '../src/verify/hashingTarget.js';
import { groupsRange, keysBetween, runsOf, scopesOf, stretchesOf } from '../src/verify/integerGroups.js';
import { INTEGER_ROW_BYTES, integerChanges } from '../src/verify/integerRows.js';
import { type KeyRange, NO_ROWS, WHOLE } from '../src/verify/side.js';
import { expected, found, type Migrated, migrated, plansOf, verifyAll } from './support/verifying.js';

const script = `CREATE TABLE dbo.Even (Id int NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Even (Id, V) SELECT s.value - 1500, s.value FROM GENERATE_SERIES(1, 3000) AS s;
GO
CREATE TABLE dbo.Heaps (Id bigint NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Heaps (Id, V)
SELECT CASE WHEN s.value <= 1000 THEN s.value - 9000000000000000000 ELSE s.value END, s.value
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(2000 AS bigint)) AS s;
GO
CREATE TABLE dbo.Least (Id smallint NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Least (Id, V) SELECT 32 * s.value - 32768, s.value FROM GENERATE_SERIES(0, 2000) AS s;
GO
CREATE TABLE dbo.Ends (Id bigint NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Ends (Id, V)
SELECT CASE WHEN s.value <= 60 THEN s.value - 9223372036854775807 ELSE 9223372036854775807 - s.value END, s.value
FROM GENERATE_SERIES(CAST(1 AS bigint), CAST(120 AS bigint)) AS s;`;
const tables = ['Even', 'Heaps', 'Least', 'Ends'] as const;

let both: Migrated;
before(async () => {
  both = await migrated([script], { include_tables: [...tables] });
});
after(() => both?.stop());

const cases: [what: string, where: string][] = [
  ['one in fifty, evenly', '"V" % 50 = 7'],
  ['one in three', '"V" % 3 = 1'],
  ['every row', 'true'],
  ['one row', '"V" = 1234'],
  ['a stretch', '"V" BETWEEN 700 AND 1100'],
];
for (const [what, where] of cases) {
  test(`changed: ${what}`, async () => {
    const wanted = new Map<string, string[]>();
    for (const table of tables) {
      const { rows } = await both.client.query<{ id: string }>(
        `UPDATE "${table}" SET "V" = "V" + 10000 WHERE ${where} RETURNING "Id"::text AS id`,
      );
      wanted.set(table, rows.map(({ id }) => id).sort());
    }
    try {
      for (const trustRowHash of [false, true]) {
        // Stored hashes know nothing of the change.
        const reports = await verifyAll(both.config, {
          tier1Rows: 1000,
          tier2Rows: 100,
          details: 5000,
          trustRowHash,
        });
        for (const table of tables) {
          const changed = wanted.get(table)!;
          const all =
            trustRowHash || changed.length === 0 ? expected() : expected({ update: changed.join(' ') });
          assert.deepEqual(found(reports.get(`dbo.${table}`)!), all, table);
        }
      }
    } finally {
      for (const table of tables) {
        await both.client.query(`UPDATE "${table}" SET "V" = "V" - 10000 WHERE "V" > 9000`);
      }
    }
  });
}

test('rows missing, and rows of the target alone within and beyond the keys of the source', async () => {
  const missing = await both.client.query<{ id: string }>(
    'DELETE FROM "Even" WHERE "Id" % 100 = 3 OR "Id" IN (-1499, 1500) RETURNING "Id"::text AS id, "V"',
  );
  await both.client.query('DELETE FROM "Heaps" WHERE "Id" = 1500');
  await both.inSource('DELETE FROM dbo.Even WHERE Id BETWEEN 1000 AND 1002');
  const far = ['-2147483648', '-1501', '1501', '2147483647'];
  await both.client.query(`INSERT INTO "Even" ("Id") SELECT unnest($1::int[])`, [far]);
  await both.client.query('INSERT INTO "Heaps" ("Id") VALUES (0), (9223372036854775807)');
  const reports = await verifyAll(both.config, { tier1Rows: 1000, tier2Rows: 100, details: 5000 });
  assert.deepEqual(
    found(reports.get('dbo.Even')!),
    expected({
      insert: missing.rows
        .map(({ id }) => id)
        .sort()
        .join(' '),
      delete: ['1000', '1001', '1002', ...far].sort().join(' '),
    }),
  );
  assert.deepEqual(
    found(reports.get('dbo.Heaps')!),
    expected({ insert: '1500', delete: '0 9223372036854775807' }),
  );
  assert.equal(reports.get('dbo.Even')!.sourceRows, 2997n);
  assert.equal(reports.get('dbo.Even')!.targetRows, BigInt(3000 - missing.rows.length + 4));
});

test('an older PostgreSQL, which is asked in another way, comes to the same totals', async () => {
  const target = await connectTarget(both.config.target);
  try {
    const plans = await plansOf(both.config);
    const asked: string[] = [];
    const older = Object.create(target, {
      serverVersion: { value: 170_000 },
      query: {
        value: (sql: string, values?: unknown[]) => {
          asked.push(sql);
          return target.query(sql, values);
        },
      },
    }) as typeof target;
    for (const plan of plans) {
      const [one, other] = [target, older].map(
        (each) => new HashingTarget(each, plan, { rowHashColumn: null }),
      );
      const totals = await one!.totals(WHOLE);
      assert.ok(totals.rows > 0n);
      assert.deepEqual(await other!.totals(WHOLE), totals);
      const ofHashes = [await one!.hashTotals(4, WHOLE), await other!.hashTotals(4, WHOLE)] as const;
      const found = compareGroups(...ofHashes, { first: 0n, last: 15n, size: 1n, located: false });
      assert.deepEqual([found.source, found.target, found.differing], [totals, totals, []]);
      for (const located of [false, true]) {
        const groups = await one!.groupTotals(64n, WHOLE, located);
        assert.ok(groups.length > 0 && groups.equals(await other!.groupTotals(64n, WHOLE, located)));
      }
    }
    assert.ok(asked.every((sql) => sql.includes('bit(64)')));
  } finally {
    await target.close();
  }
});

test('groups of keys: every key lies in the range of its group, and stretches leave none out', () => {
  const within = keysBetween(-100n, 100n);
  for (let key = -99n; key <= 100n; key++) {
    for (const size of [1n, 2n, 7n, 64n, 300n]) {
      const { lower, upper } = groupsRange(key / size, key / size, size, within);
      assert.ok(BigInt(lower![0]!) < key && key <= BigInt(upper![0]!), `${key} / ${size}`);
      const next = (BigInt(upper![0]!) + 1n) / size;
      assert.ok(next !== key / size || upper![0] === '100', `${key} / ${size}`);
    }
  }
  for (const [first, last, rows] of [
    [1n, 1n, 1],
    [-5n, 1000n, 1006],
    [-(2n ** 62n), 2n ** 62n, 5000],
  ] as const) {
    const stretches = stretchesOf({ first, last, rows }, 1000, 10);
    assert.equal(stretches[0]!.lower![0], String(first - 1n));
    assert.equal(stretches.at(-1)!.upper![0], String(last));
    for (const [i, { lower }] of stretches.entries()) {
      if (i > 0) assert.deepEqual(lower, stretches[i - 1]!.upper);
    }
  }
  const groups = [-1n, 0n, 1n, 5n, 6n].map((group) => ({
    group,
    sourceRows: 10n,
    targetRows: 0n,
    change: null,
  }));
  assert.deepEqual(
    runsOf(groups, 10n, within).map(({ range, sourceRows }) => [
      range.lower![0],
      range.upper![0],
      sourceRows,
    ]),
    [
      ['-20', '19', 30n],
      ['49', '69', 20n],
    ],
  );
  const ranges = [0n, 10n, 20n, 30n].map((from) => ({ range: keysBetween(from, from + 5n), rows: 9000n }));
  assert.deepEqual(
    scopesOf(ranges).map((scope) => scope.ranges),
    [
      [
        [0n, 5n],
        [10n, 15n],
      ],
      [
        [20n, 25n],
        [30n, 35n],
      ],
    ],
  );
});

/** Packed totals of rows, as a server gives them. */
function packed(rows: ReadonlyMap<bigint, string>, size: bigint, located = true): Buffer {
  const groups = new Map<bigint, bigint[]>();
  for (const [key, value] of rows) {
    const digest = createHash('md5').update(`${key} ${value}`).digest();
    const [first, second] = [BigInt(digest.readUInt32BE(0)), BigInt(digest.readUInt32BE(4))];
    const place = key % size;
    const sums = groups.get(key / size) ?? [0n, 0n, 0n, 0n, 0n];
    const row = [1n, first, second, first * place, second * place];
    groups.set(
      key / size,
      sums.map((sum, i) => sum + row[i]!),
    );
  }
  const records = [...groups].reverse().map(([group, sums]) => {
    const bytes = Buffer.alloc(totalsBytes(located));
    const numbers = [group, ...sums].slice(0, bytes.length / 8);
    for (const [i, number] of numbers.entries()) bytes.writeBigInt64BE(number, 8 * i);
    return bytes;
  });
  return Buffer.concat(records);
}

test('totals name the row of a group that changed, and never one where several did', () => {
  for (const [size, begin] of [
    [7n, -3000n],
    [24n, 2n ** 62n],
    [MAX_LOCATED_KEYS, -(2n ** 62n)],
  ] as const) {
    const keys = Array.from({ length: 6000 }, (_, i) => begin + BigInt(i) * (size > 24n ? 997n : 1n));
    const source = new Map(keys.map((key) => [key, 'as it was']));
    const target = new Map(source);
    const changes = new Map<bigint, { change: string; key: bigint }[]>();
    for (const [i, key] of keys.entries()) {
      if ((i * 7919 + (i >> 5)) % 97 > 2) continue;
      const change = (['insert', 'update', 'delete'] as const)[i % 3]!;
      if (change === 'insert') target.delete(key);
      else if (change === 'update') target.set(key, `changed ${i}`);
      else source.delete(key);
      const group = key / size;
      changes.set(group, [...(changes.get(group) ?? []), { change, key }]);
    }
    const [first, last] = [keys[0]! / size, keys.at(-1)! / size];
    const found = compareGroups(packed(source, size), packed(target, size), {
      first,
      last,
      size,
      located: true,
    });
    assert.equal(found.source.rows, BigInt(source.size));
    assert.deepEqual(
      found.differing.map(({ group }) => group),
      [...changes.keys()],
    );
    let named = 0;
    for (const { group, change } of found.differing) {
      const [only, ...others] = changes.get(group)!;
      assert.deepEqual(change, others.length === 0 ? only : null, `group ${group} of ${size}`);
      if (change !== null) named++;
    }
    assert.ok(named > 0, `groups of ${size}`);
  }
  const strange = packed(new Map([[100n, '']]), 10n);
  assert.throws(
    () => compareGroups(strange, Buffer.alloc(0), { first: 0n, last: 5n, size: 10n, located: true }),
    /not asked for/,
  );
});

test('a place that several changed rows come to by chance names none of them', () => {
  const record = (...numbers: bigint[]): Buffer => {
    const bytes = Buffer.alloc(totalsBytes(true));
    for (const [i, number] of numbers.entries()) bytes.writeBigInt64BE(number, 8 * i);
    return bytes;
  };
  const cases: [
    group: bigint,
    first: bigint,
    second: bigint,
    placed: [bigint, bigint],
    key: bigint | null,
  ][] = [
    [5n, 10n, 6n, [20n, 12n], 37n],
    [5n, 0n, 6n, [0n, 12n], 37n],
    [-5n, 10n, 6n, [-20n, -12n], -37n],
    [0n, 10n, 6n, [-20n, -12n], -2n],
    [5n, 10n, 6n, [20n, 13n], null],
    [5n, 10n, 6n, [21n, 12n], null],
    [5n, 0n, 6n, [5n, 12n], null],
    [5n, 0n, 0n, [20n, 12n], null],
    [5n, 10n, 6n, [-20n, -12n], null],
    [-5n, 10n, 6n, [20n, 12n], null],
    [5n, 10n, 6n, [70n, 42n], null],
    [-5n, 10n, 6n, [-70n, -42n], null],
  ];
  for (const [group, first, second, placed, key] of cases) {
    const span = { first: group, last: group, size: 7n, located: true };
    const source = record(group, 2n, 100n + first, 100n + second, 900n + placed[0], 900n + placed[1]);
    const { differing } = compareGroups(source, record(group, 2n, 100n, 100n, 900n, 900n), span);
    assert.deepEqual(
      differing[0]?.change,
      key === null ? null : { change: 'update', key },
      `${first}, ${placed}`,
    );
  }
  const [one, none] = [record(5n, 1n, 10n, 6n, 20n, 12n), Buffer.alloc(0)];
  const compared = (source: Buffer, target: Buffer) =>
    compareGroups(source, target, { first: 5n, last: 6n, size: 7n, located: true }).differing;
  assert.deepEqual(compared(one, none)[0]?.change, { change: 'insert', key: 37n });
  assert.deepEqual(compared(none, one)[0]?.change, { change: 'delete', key: 37n });
  assert.deepEqual(
    compared(one, record(5n, 2n, 10n, 6n, 20n, 12n)).length,
    1,
    'the number of rows is compared',
  );
});

test('a row that only the target seems to have is looked at before it is named', async () => {
  const source = new Map(Array.from({ length: 2000 }, (_, i) => [BigInt(i + 1), 'as it was']));
  source.delete(777n);
  const target = new Map(source).set(777n, 'deleted').set(900n, 'changed');
  const within = (rows: ReadonlyMap<bigint, string>, { lower, upper }: KeyRange) =>
    new Map([...rows].filter(([key]) => key > BigInt(lower![0]!) && key <= BigInt(upper![0]!)));
  const looked: unknown[] = [];
  const none = async (): Promise<never> => assert.fail('not asked for');
  const comparison = new GroupComparison(
    {
      groups: async (size, range, located) => ({
        source: packed(within(source, range), size, located),
        target: packed(within(target, range), size, located),
      }),
      // By the time of the look the source has the row again.
      async *rowDifferences(scope) {
        looked.push(scope.kind === 'ranges' ? scope.ranges : scope.kind);
        yield* [];
      },
      totals: async () => ({ source: NO_ROWS, target: NO_ROWS }),
      settle: () => {},
      ...{
        hashTotals: none,
        isStreamed: none,
        cut: none,
        rangeDifferences: () => assert.fail('a whole range'),
      },
    },
    { tier1Rows: 10_000, tier2Rows: 1000, parallel: 1, looksAgain: 'before deleting' },
  );
  const changes: unknown[] = [];
  for await (const found of comparison.differences({ first: 1n, last: 2000n, rows: 2000 }))
    changes.push(...found.changes);
  assert.deepEqual(changes, [{ change: 'update', key: ['900'] }]);
  assert.deepEqual(looked, [[[776n, 777n]]]);
});

test('packed rows of both sides: what differs, in the order of keys of both signs', () => {
  const rows = (...list: [key: bigint, digest: number][]) =>
    Buffer.concat(
      list.map(([key, digest]) => {
        const bytes = Buffer.alloc(INTEGER_ROW_BYTES, digest);
        bytes.writeBigUInt64BE(BigInt.asUintN(64, key) ^ (1n << 63n));
        return bytes;
      }),
    );
  const least = -(2n ** 63n);
  const source = rows([least, 1], [-5n, 1], [-1n, 1], [0n, 2], [7n, 3], [7n, 4], [2n ** 63n - 1n, 9]);
  const target = rows([least, 1], [-4n, 1], [-1n, 200], [0n, 2], [7n, 3], [8n, 1], [2n ** 63n - 1n, 9]);
  assert.deepEqual(integerChanges(source, target), [
    { change: 'insert', key: ['-5'] },
    { change: 'delete', key: ['-4'] },
    { change: 'update', key: ['-1'] },
    { change: 'insert', key: ['7'], collides: true },
    { change: 'delete', key: ['8'] },
  ]);
  assert.deepEqual(integerChanges(source, source), []);
  assert.equal(integerChanges(source, rows()).length, 7);
  assert.equal(integerChanges(rows(), target).length, 7);
});
