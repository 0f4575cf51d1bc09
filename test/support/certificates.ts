/**
 * A certificate authority, a server and a client certificate made for one test, for PostgreSQL and the stand-in alike.
 *
 * Runs on the main thread of the test process.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';

export interface Certificates {
  /** PEM file of the certificate authority: what a client trusts. */
  caFile: string;
  /** PEM file of the server's certificate, for localhost, 127.0.0.1 and ::1. */
  certFile: string;
  /** PEM file of the server's key, readable by its owner only. */
  keyFile: string;
  /** PEM files of a client's certificate and key; its name is the role `postgres`. */
  clientCertFile: string;
  clientKeyFile: string;
}

/** Writes all of them into `directory`, which must exist. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const common = { keyType: 'rsa', keySize: 2048, algorithm: 'sha256' } as const;
  const authority = await generate([{ name: 'commonName', value: 'mssql-pg-migrate test CA' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  });
  const client = await generate([{ name: 'commonName', value: 'postgres' }], {
    ...common,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [{ name: 'extKeyUsage', clientAuth: true }],
  });
  const files = {
    caFile: join(directory, 'ca.pem'),
    certFile: join(directory, 'server.pem'),
    keyFile: join(directory, 'server.key'),
    clientCertFile: join(directory, 'client.pem'),
    clientKeyFile: join(directory, 'client.key'),
  };
  writeFileSync(files.caFile, authority.cert);
  writeFileSync(files.certFile, server.cert);
  writeFileSync(files.keyFile, server.private, { mode: 0o600 });
  writeFileSync(files.clientCertFile, client.cert);
  writeFileSync(files.clientKeyFile, client.private, { mode: 0o600 });
  return files;
}
