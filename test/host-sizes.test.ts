/**
 * Sizes: the formulas, what is given is kept, and memory and connections are never exceeded.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readConfig } from '../src/config/load.js';
import type { Config } from '../src/config/schema.js';
import { readGroupLimits } from '../src/host/cgroup.js';
import { type Host, inspectHost } from '../src/host/host.js';
import { chooseSizes, laneMemoryBytes, MAIN_CONNECTIONS, sizeLines } from '../src/host/sizes.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function host(cores: number, memoryBytes: number, availableBytes = memoryBytes): Host {
  return { cores, coresFrom: 'a test', memoryBytes, memoryFrom: 'a test', availableBytes };
}

function config(migration: Partial<Config['migration']> = {}): Config {
  const base = readConfig(
    'source: { host: h, database: d, user: u, password: p }\ntarget: { host: h, database: d, user: u, password: p }',
    { environment: {} },
  );
  return { ...base, migration: { ...base.migration, ...migration } };
}

test("the guide's formulas", () => {
  for (const [cores, workers, readers, writers] of [
    [1, 4, 8, 6],
    [8, 4, 8, 6],
    [12, 6, 12, 8],
    [16, 8, 16, 10],
    [64, 8, 16, 12],
  ] as const) {
    const sizes = chooseSizes(host(cores, 64 * GIB), config());
    assert.deepEqual(
      [sizes.workers, sizes.parallelReaders, sizes.writeAheadWriters],
      [workers, readers, writers],
      `${cores} cores`,
    );
    assert.equal(sizes.lanes, Math.min(readers, 2 * cores));
  }
  const chunks = (gib: number) => chooseSizes(host(8, gib * GIB), config()).chunkRows;
  assert.deepEqual([0.25, 4, 8, 16, 256].map(chunks), [10_000, 50_000, 100_000, 200_000, 200_000]);
  const buffers = (gib: number) => chooseSizes(host(8, gib * GIB), config()).readAheadBuffers;
  assert.deepEqual([1, 8, 20, 32, 256].map(buffers), [8, 8, 20, 32, 32]);
});

test('given values are kept, and said to be given', () => {
  const sizes = chooseSizes(
    host(8, 64 * GIB),
    config({
      workers: 3,
      parallel_readers: 5,
      write_ahead_writers: 10,
      chunk_size: 123,
      read_ahead_buffers: 16,
    }),
  );
  assert.deepEqual(
    [
      sizes.workers,
      sizes.parallelReaders,
      sizes.lanes,
      sizes.writersPerLane,
      sizes.chunkRows,
      sizes.slotsPerRing,
    ],
    [3, 5, 5, 2, 123, 16],
  );
  assert.match(sizes.reasons.workers, /migration\.workers/);
  assert.match(sizes.reasons.lanes, /migration\.parallel_readers/);
});

test('a run begins with one lane and one writer, unless it is told how many there are', () => {
  const first = (migration: Partial<Config['migration']>) => {
    const { lanesAtFirst, writersAtFirst } = chooseSizes(host(8, 64 * GIB), config(migration));
    return [lanesAtFirst, writersAtFirst];
  };
  assert.deepEqual(first({}), [1, 1]);
  assert.deepEqual(first({ parallel_readers: 3 }), [3, 1]);
  assert.deepEqual(first({ parallel_readers: 2, write_ahead_writers: 6 }), [2, 3]);
});

test('on up to two cores the reader hashes, and the reason says so', () => {
  const hashers = [1, 2, 3, 64].map((cores) => chooseSizes(host(cores, 16 * GIB), config()));
  assert.deepEqual(
    hashers.map(({ hashersPerLane }) => hashersPerLane),
    [0, 0, 1, 1],
  );
  assert.match(hashers[0]!.reasons.hashersPerLane, /the reader does it: one core has enough to do/);
  assert.match(hashers[1]!.reasons.hashersPerLane, /the reader does it: 2 cores have enough to do/);
  assert.match(hashers[2]!.reasons.hashersPerLane, /beside their reader/);
});

test('a reader of several writers has rings that keep them busy in turn', () => {
  const slots = (migration: Partial<Config['migration']>) =>
    chooseSizes(host(16, 64 * GIB), config(migration), { partitions: 1 }).slotsPerRing;
  assert.equal(slots({ write_ahead_writers: 1 }), 32);
  assert.equal(slots({ write_ahead_writers: 2 }), 64);
  assert.equal(slots({ write_ahead_writers: 2, read_ahead_buffers: 16 }), 16, 'unless it is told how many');
  assert.equal(slots({ write_ahead_writers: 200 }), 32, 'within the limit of a lane');
});

test('connections bound lanes and writers, and the reason says so', () => {
  const few = chooseSizes(host(16, 64 * GIB), config({ parallel_readers: 16, max_mssql_connections: 6 }));
  assert.equal(few.lanes, 4);
  assert.match(few.reasons.lanes, /max_mssql_connections/);
  const pg = chooseSizes(host(16, 64 * GIB), config({ write_ahead_writers: 64, max_pg_connections: 10 }));
  assert.ok(pg.lanes * pg.writersPerLane <= 8);
  const least = chooseSizes(host(16, 64 * GIB), config({ max_mssql_connections: 3, max_pg_connections: 3 }));
  assert.deepEqual([least.lanes, least.writersPerLane], [1, 1]);
});

test('little memory shrinks buffers first and lanes last, and the reasons say so', () => {
  const sizes = chooseSizes(host(8, 512 * MIB), config());
  assert.ok(laneMemoryBytes(sizes) <= sizes.memoryBudgetBytes / 2);
  assert.match(sizes.reasons.slotBytes, /half the memory budget/);
  const tiny = chooseSizes(host(8, 64 * MIB), config());
  assert.deepEqual([tiny.lanes, tiny.writersPerLane, tiny.slotBytes], [1, 1, 64 * 1024]);
  assert.match(tiny.reasons.lanes, /too little/);
});

test('memory that others use is not counted on', () => {
  const sizes = chooseSizes(host(8, 16 * GIB, 1 * GIB), config());
  assert.equal(sizes.memoryBudgetBytes, GIB);
  assert.match(sizes.reasons.memoryBudgetBytes, /free now/);
});

test('no more lanes than partitions', () => {
  assert.equal(chooseSizes(host(16, 64 * GIB), config(), { partitions: 3 }).lanes, 3);
  assert.equal(chooseSizes(host(16, 64 * GIB), config(), { partitions: 0 }).lanes, 1);
});

test('for every host and configuration: within budget and connections, nothing below 1, all whole', () => {
  const optional = (max: number, min = 1) => fc.option(fc.integer({ min, max }), { nil: undefined });
  fc.assert(
    fc.property(
      fc.record({
        cores: fc.integer({ min: 1, max: 512 }),
        memoryBytes: fc.integer({ min: 32 * MIB, max: 2 * 1024 * GIB }),
        free: fc.double({ min: 0.01, max: 1, noNaN: true }),
      }),
      fc.record({
        workers: optional(256),
        chunk_size: optional(10_000_000),
        parallel_readers: optional(256),
        write_ahead_writers: optional(256),
        read_ahead_buffers: optional(256),
        max_mssql_connections: optional(1024, 3),
        max_pg_connections: optional(1024, 3),
        memory_budget_percent: fc.integer({ min: 1, max: 95 }),
      }),
      ({ cores, memoryBytes, free }, migration) => {
        const sizes = chooseSizes(
          host(cores, memoryBytes, Math.floor(memoryBytes * free)),
          config(migration),
        );
        for (const { name, value, reason } of sizeLines(sizes)) {
          assert.ok(
            Number.isSafeInteger(value) && value >= (name === 'hashersPerLane' ? 0 : 1),
            `${name} ${value}`,
          );
          assert.ok(reason.length > 0, name);
        }
        const rings = sizes.lanes * sizes.writersPerLane;
        assert.ok(sizes.lanes + MAIN_CONNECTIONS <= sizes.maxSourceConnections);
        assert.ok(rings + MAIN_CONNECTIONS <= sizes.maxTargetConnections);
        assert.equal(2 ** Math.log2(sizes.slotsPerRing), sizes.slotsPerRing);
        assert.ok(sizes.slotsPerRing >= 2);
        assert.ok(sizes.slotBytes >= 64 * 1024 && sizes.slotBytes <= MIB);
        assert.ok(sizes.memoryBudgetBytes <= memoryBytes);
        const least = rings === 1 && sizes.slotsPerRing === 2 && sizes.slotBytes === 64 * 1024;
        assert.ok(least || laneMemoryBytes(sizes) <= sizes.memoryBudgetBytes / 2);
      },
    ),
    { numRuns: 1000 },
  );
});

test('control group limits: version 2, version 1, nested, absent', () => {
  const from = (files: Record<string, string>) => readGroupLimits((path) => files[path]);
  assert.deepEqual(from({}), {});
  assert.deepEqual(
    from({
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/memory.max': '536870912\n',
    }),
    { cpus: 1.5, memoryBytes: 512 * MIB },
  );
  assert.deepEqual(
    from({
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/a/cpu.max': '400000 100000\n',
      '/sys/fs/cgroup/a/b/memory.max': 'max\n',
      '/sys/fs/cgroup/a/memory.max': '1073741824\n',
    }),
    { cpus: 4, memoryBytes: GIB },
  );
  assert.deepEqual(
    from({
      '/proc/self/cgroup': '5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
      '/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes': '9223372036854771712\n',
    }),
    { cpus: 0.5, memoryBytes: 256 * MIB },
  );
  assert.deepEqual(
    from({
      '/proc/self/cgroup': '4:cpu,cpuacct:/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    }),
    {},
  );
});

test('this host has cores and memory, and says from where', async () => {
  const found = await inspectHost();
  assert.ok(Number.isInteger(found.cores) && found.cores >= 1);
  assert.ok(found.memoryBytes > 16 * MIB && Number.isFinite(found.memoryBytes));
  assert.ok(found.availableBytes <= found.memoryBytes);
  assert.ok(found.coresFrom.length > 0 && found.memoryFrom.length > 0);
});
