/**
 * Metrics for Prometheus, served over HTTP while a command works.
 *
 * Runs on the main thread. Nothing is counted for it: each scrape reads the tally.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { AppError } from '../errors.js';
import type { Tally } from './tally.js';

const PREFIX = 'mssql_pg_migrate_';
const STATES = ['pending', 'running', 'completed', 'failed'] as const;
const TIERS = ['reader', 'hasher', 'writer'] as const;

export interface MetricsOptions {
  host: string;
  /** 0 for any that is free. */
  port: number;
  command: string;
  version: string;
}

/** @returns the registry of a command's metrics. */
export function createMetrics(
  tally: Tally,
  { command, version }: Pick<MetricsOptions, 'command' | 'version'>,
) {
  const registry = new Registry();
  const registers = [registry];
  const compares = command === 'verify';
  collectDefaultMetrics({ register: registry });

  new Gauge({
    name: `${PREFIX}info`,
    help: 'What is running; always 1.',
    labelNames: ['version', 'command', 'run_id'],
    registers,
    collect() {
      this.reset();
      this.set({ version, command, run_id: tally.totals().runId ?? '' }, 1);
    },
  });
  const ofTables = (
    name: string,
    help: string,
    value: (table: ReturnType<Tally['snapshot']>['tables'][number]) => number,
  ): void => {
    new Counter({
      name: `${PREFIX}${name}`,
      help,
      labelNames: ['table'],
      registers,
      collect() {
        this.reset();
        for (const table of tally.snapshot().tables) this.inc({ table: table.table }, value(table));
      },
    });
  };
  if (compares) {
    ofTables('rows_compared_total', 'Rows of the source compared so far.', (t) => t.rowsCommitted);
  } else {
    ofTables('rows_committed_total', 'Rows committed in the target.', (t) => t.rowsCommitted);
    ofTables('bytes_committed_total', 'Bytes of COPY data committed in the target.', (t) => t.bytesCommitted);
    ofTables('chunks_committed_total', 'Chunks committed in the target.', (t) => t.chunks);
    ofTables('retries_total', 'Times something was tried again.', (t) => t.retries);
  }
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  new Gauge({
    name: `${PREFIX}table_rows_estimate`,
    help: "Rows of each table by the source's catalog: close, not exact.",
    labelNames: ['table'],
    registers,
    collect() {
      this.reset();
      for (const { table, approximateRows } of tally.snapshot().tables) this.set({ table }, approximateRows);
    },
  });
  new Gauge({
    name: `${PREFIX}tables`,
    help: 'Tables by state.',
    labelNames: ['state'],
    registers,
    collect() {
      const { tablesTotal, tablesCompleted: completed, tablesFailed: failed, running } = tally.totals();
      const pending = tablesTotal - completed - failed - running.length;
      const counts = { pending, running: running.length, completed, failed };
      for (const state of STATES) this.set({ state }, counts[state]);
    },
  });
  new Gauge({
    name: `${PREFIX}phase`,
    help: 'The phase the run is in: 1, with its name.',
    labelNames: ['phase'],
    registers,
    collect() {
      this.reset();
      this.set({ phase: tally.totals().phase }, 1);
    },
  });
  if (!compares) {
    gauge('rows_in_flight', 'Rows sent to the target and not committed yet.', () => {
      const { rows, rowsCommitted } = tally.totals();
      return rows - rowsCommitted;
    });
    gauge('ring_fill_ratio', 'How full the rings between readers and writers are, from 0 to 1.', () => {
      return tally.totals().gauges.ringFill;
    });
    new Counter({
      name: `${PREFIX}tier_seconds_total`,
      help: 'Time of the threads of each tier, by what it went into: working, or waiting for the one named.',
      labelNames: ['tier', 'activity'],
      registers,
      collect() {
        this.reset();
        const { tiers } = tally.totals();
        for (const tier of TIERS) {
          for (const [kind, ms] of Object.entries(tiers[tier])) {
            // A tier does not wait for itself, nor a reader for the target.
            if (kind !== 'working' && ms === 0) continue;
            const activity = kind === 'working' ? kind : `waiting_for_${kind}`;
            this.inc({ tier, activity }, ms / 1000);
          }
        }
      },
    });
  }
  return registry;
}

/** The metrics of one command, behind a port of their own. */
export class MetricsServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws AppError IO where the port can't be had */
  static async start(tally: Tally, options: MetricsOptions): Promise<MetricsServer> {
    const { host, port } = options;
    const registry = createMetrics(tally, options);
    const server = createServer((request, response) => {
      const path = request.url?.split('?')[0];
      if (path !== '/metrics') {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('The metrics are at /metrics.\n');
        return;
      }
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(
          new AppError('IO', `Metrics can't be served at ${host}:${port}: ${error.message}`, {
            remedy: 'Give another --metrics-port or --metrics-host.',
            cause: error,
          }),
        ),
      );
      server.listen(port, host, resolve);
    });
    // Nobody who scrapes keeps a finished run alive.
    server.unref();
    return new MetricsServer(server);
  }

  /** `http://127.0.0.1:9464/metrics` */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
