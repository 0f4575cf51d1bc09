/**
 * The stand-in SQL Server as a program of its own: prints one JSON line with its port when it is ready, ends on
 * SIGTERM, SIGINT, or (asked for) when its stdin ends. This process's only thread runs it all.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createEngine } from './engine/index.js';
import { startSqlServer } from './server.js';
import type { EncryptionMode } from './tds/prelogin.js';

const USAGE = `usage: main.js --pg-url URL --password PW [--host 127.0.0.1] [--port 0]
  [--cert FILE --key FILE] [--encryption off|on|required]
  [--plp-unknown-length] [--plp-chunk-bytes N] [--no-nbcrow] [--exit-with-stdin]`;

function refuse(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(1);
}

function isEncryption(value: string): value is EncryptionMode {
  return value === 'off' || value === 'on' || value === 'required';
}

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    'pg-url': { type: 'string' },
    password: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    encryption: { type: 'string', default: 'on' },
    'plp-unknown-length': { type: 'boolean', default: false },
    'plp-chunk-bytes': { type: 'string', default: '8192' },
    'no-nbcrow': { type: 'boolean', default: false },
    'exit-with-stdin': { type: 'boolean', default: false },
  },
});

const pgUrl = values['pg-url'] ?? refuse('--pg-url is missing');
const password = values.password ?? refuse('--password is missing');
const encryption = isEncryption(values.encryption)
  ? values.encryption
  : refuse(`--encryption ${values.encryption} is none of off, on, required`);
if ((values.cert === undefined) !== (values.key === undefined)) refuse('--cert and --key go together');

const engine = await createEngine({ pgUrl, password, user: 'sa' });
const server = await startSqlServer({
  engine,
  host: values.host,
  port: Number(values.port),
  encryption,
  plpUnknownLength: values['plp-unknown-length'],
  plpChunkBytes: Number(values['plp-chunk-bytes']),
  nbcRow: !values['no-nbcrow'],
  ...(values.cert !== undefined && { cert: readFileSync(values.cert, 'utf8') }),
  ...(values.key !== undefined && { key: readFileSync(values.key, 'utf8') }),
});

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await server.close();
  await engine.close();
  process.exit(0);
}

process.on('SIGTERM', () => void stop());
process.on('SIGINT', () => void stop());
if (values['exit-with-stdin']) process.stdin.on('end', () => void stop()).resume();
process.stdout.write(`${JSON.stringify({ port: server.port })}\n`);
