/** Changes scattered over tables that are compared by groups of key hashes, and what both servers make of such groups. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectSource } from '../src/source/connection.js';
import { connectTarget } from '../src/target/connection.js';
import { compareGroups } from '../src/verify/groupTotals.js';
import { HashingSource } from '../src/verify/hashingSource.js';
import { HashingTarget } from '../src/verify/hashingTarget.js';
import { type HashGroups, type KeyedDigest, type Scope, type Side, WHOLE } from '../src/verify/side.js';
import { found, type Migrated, migrated, plansOf, verifyAll } from './support/verifying.js';

const script = `CREATE TABLE dbo.Guids (Id uniqueidentifier NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Guids (Id, V) SELECT CONVERT(uniqueidentifier, HASHBYTES('MD5', CONVERT(varchar(20), s.value))), s.value
FROM GENERATE_SERIES(1, 3000) AS s;
GO
CREATE TABLE dbo.Codes (Code varchar(20) COLLATE Latin1_General_CI_AS NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Codes (Code, V) SELECT CONCAT(CASE s.value % 2 WHEN 0 THEN 'b' ELSE 'A' END, s.value), s.value
FROM GENERATE_SERIES(1, 3000) AS s;
GO
CREATE TABLE dbo.Pairs (A int NOT NULL, B smallint NOT NULL, V int NULL, PRIMARY KEY (A, B));
GO
INSERT INTO dbo.Pairs (A, B, V) SELECT s.value / 7 - 100, s.value % 7, s.value FROM GENERATE_SERIES(1, 3000) AS s;
GO
CREATE TABLE dbo.Few (Id uniqueidentifier NOT NULL PRIMARY KEY, V int NULL);
GO
INSERT INTO dbo.Few (Id, V) SELECT TOP (200) Id, V FROM dbo.Guids ORDER BY V;`;
const tables = { Guids: '"Id"::text', Codes: '"Code"', Pairs: `concat("A", ',', "B")` } as const;

let both: Migrated;
before(async () => {
  both = await migrated([script], { include_tables: [...Object.keys(tables), 'Few'] });
});
after(() => both?.stop());

const cases: [what: string, where: string][] = [
  ['one row', '"V" = 1234'],
  ['one in five hundred', '"V" % 500 = 7'],
  ['one in fifty', '"V" % 50 = 7'],
  ['one in three', '"V" % 3 = 1'],
  ['every row', 'true'],
  ['a stretch', '"V" BETWEEN 700 AND 1100'],
];
for (const [what, where] of cases) {
  test(`changed: ${what}`, async () => {
    const wanted = new Map<string, string>();
    for (const [table, key] of Object.entries(tables)) {
      const { rows } = await both.client.query<{ key: string }>(
        `UPDATE "${table}" SET "V" = "V" + 10000 WHERE ${where} RETURNING ${key} AS key`,
      );
      wanted.set(table, alike(rows.map((row) => row.key).join(' ')));
    }
    const reports = await verifyAll(both.config, { tier1Rows: 2000, tier2Rows: 1000, details: 5000 });
    for (const table of Object.keys(tables)) {
      const { update, ...others } = found(reports.get(`dbo.${table}`)!);
      assert.deepEqual(
        { ...others, update: alike(update!) },
        { status: 'differs', insert: '-', delete: '-', update: wanted.get(table) },
        table,
      );
      await both.client.query(`UPDATE "${table}" SET "V" = "V" - 10000 WHERE "V" > 9000`);
    }
  });
}

/** SQL Server writes the digits of a uniqueidentifier in upper case. */
function alike(keys: string): string {
  return keys.toLowerCase().split(' ').sort().join(' ');
}

test('both servers tell the groups apart as the hashes say, however many there are', async () => {
  const source = await connectSource(both.config.source);
  const target = await connectTarget(both.config.target);
  try {
    const plans = await plansOf(both.config);
    const options = {
      nul: 'error',
      isolation: 'read_committed',
      trustRowHash: false,
      rangeRows: 100,
    } as const;
    const plan = plans.find(({ source: { name } }) => name === 'Few')!;
    const sides: Side[] = [
      new HashingSource(source, plan, options),
      new HashingTarget(target, plan, { rowHashColumn: null }),
    ];
    const all = await hashesOf(sides[1]!, WHOLE);
    assert.equal(all.length, 200);
    const groupOf = (keyHash: string, bits: number) =>
      Number.parseInt(keyHash.slice(0, 8), 16) >>> (32 - bits);
    for (const bits of [1, 15, 16, 20]) {
      // Some of those that have rows, the first and the last.
      const taken = all.filter((_, i) => i % 20 === 1).map(({ keyHash }) => groupOf(keyHash, bits));
      const groups = [
        ...new Set([...taken, groupOf(all[0]!.keyHash, bits), groupOf(all.at(-1)!.keyHash, bits)]),
      ];
      const scope: HashGroups = {
        kind: 'hashes',
        within: WHOLE,
        bits,
        groups: groups.sort((a, b) => a - b),
      };
      const wanted = all.filter(({ keyHash }) => groups.includes(groupOf(keyHash, bits)));
      const packed: Buffer[] = [];
      for (const side of sides) {
        assert.deepEqual(await hashesOf(side, scope), wanted, `${bits} bits`);
        packed.push(await side.hashTotals(bits, scope));
      }
      const span = { first: 0n, last: BigInt(2 ** bits - 1), size: 1n, located: false };
      const totals = compareGroups(packed[0]!, packed[1]!, span);
      assert.deepEqual([totals.groups, totals.differing], [groups.length, []]);
      assert.equal(totals.target.rows, BigInt(wanted.length));
    }
  } finally {
    await source.close();
    await target.close();
  }
});

async function hashesOf(side: Side, scope: Scope): Promise<Omit<KeyedDigest, 'key'>[]> {
  const all: Omit<KeyedDigest, 'key'>[] = [];
  for await (const rows of side.digests(scope)) {
    for (const { keyHash, digest } of rows) all.push({ keyHash, digest });
  }
  return all;
}
