/**
 * `ssl_mode` as libpq defines it: which kinds of connection are tried, in which order, and what is checked.
 *
 * Any thread; reads certificate files, touches no network.
 */
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { readPem } from '../config/pem.js';
import { AppError } from '../errors.js';

export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** One way to connect: in the clear (false), or over TLS with these checks. */
export type TlsAttempt = false | ConnectionOptions;

/**
 * The attempts of a mode, in order; the next one is made only where `fallsBack` says so.
 *
 * As in libpq, a CA file makes every mode that uses TLS check the chain (`require` becomes `verify-ca`). Where no CA
 * file is given, `verify-full` trusts the authorities Node.js does; `verify-ca` is refused, because anyone can get a
 * certificate from a public authority.
 *
 * @throws AppError CONFIG_INVALID (verify-ca without a CA file), IO (a file that can't be read).
 */
export function tlsAttempts(options: {
  host: string;
  ssl_mode: SslMode;
  ssl_ca_file?: string | null | undefined;
  ssl_cert_file?: string | undefined;
  ssl_key_file?: string | undefined;
}): TlsAttempt[] {
  const { host, ssl_mode: mode, ssl_ca_file: file } = options;
  if (mode === 'disable') return [false];
  if (mode === 'verify-ca' && !file) {
    throw new AppError('CONFIG_INVALID', 'target.ssl_mode verify-ca needs target.ssl_ca_file', {
      remedy: 'Name a PEM file of the authority that signed the server’s certificate, or use verify-full.',
    });
  }
  const { ssl_cert_file: cert, ssl_key_file: key } = options;
  const files: ConnectionOptions = {
    ...(file && { ca: readPem('target.ssl_ca_file', file) }),
    ...(cert && { cert: readPem('target.ssl_cert_file', cert) }),
    ...(key && { key: readPem('target.ssl_key_file', key) }),
  };
  const secure: ConnectionOptions =
    mode === 'verify-full'
      ? // Node would check the TLS server name, which an IP address never is; the host asked for is what counts.
        {
          ...files,
          rejectUnauthorized: true,
          checkServerIdentity: (_, cert) => checkServerIdentity(host, cert),
        }
      : { ...files, rejectUnauthorized: Boolean(file), checkServerIdentity: () => undefined };
  if (mode === 'allow') return [false, secure];
  if (mode === 'prefer') return [secure, false];
  return [secure];
}

/**
 * Whether a failed attempt lets the next kind of connection be tried. Encryption can't help a host that does not
 * answer or a database that is not there; it can where the server refused the login (pg_hba.conf knows `hostssl` and
 * `hostnossl`) or TLS itself failed.
 *
 * @param state the server's SQLSTATE, or undefined where it said nothing.
 */
export function fallsBack(attempt: TlsAttempt, state: string | undefined, networkFailed: boolean): boolean {
  if (state !== undefined) return state.startsWith('28');
  return attempt !== false && !networkFailed;
}
