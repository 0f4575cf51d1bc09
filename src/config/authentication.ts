/**
 * The ways to log in to SQL Server, and which keys of `source` each of them needs.
 *
 * Runs on the main thread; the names are used in the reader workers, too.
 */
import type { Problem } from './problems.js';

export const AUTHENTICATION_METHODS = [
  'sql',
  'ntlm',
  'entra_default',
  'entra_managed_identity',
  'entra_service_principal',
  'entra_password',
  'entra_token',
] as const;

export type AuthenticationMethod = (typeof AUTHENTICATION_METHODS)[number];

const KEYS = ['user', 'password', 'domain', 'tenant_id', 'client_id'] as const;

type Key = (typeof KEYS)[number];

/** What each key is to each method; a key that is not named has no effect with it. */
const WANTED: Record<AuthenticationMethod, { needs: Partial<Record<Key, string>>; takes?: readonly Key[] }> =
  {
    sql: { needs: { user: 'the login name', password: "the login's password" } },
    ntlm: {
      needs: { user: 'the Windows user, without the domain', password: 'its password', domain: 'its domain' },
    },
    entra_default: { needs: {}, takes: ['client_id'] },
    entra_managed_identity: { needs: {}, takes: ['client_id'] },
    entra_service_principal: {
      needs: { client_id: "the application's id", password: 'its client secret', tenant_id: 'its tenant' },
    },
    entra_password: {
      needs: {
        user: 'the Entra user',
        password: 'its password',
        client_id: "the application's id",
        tenant_id: 'its tenant',
      },
    },
    entra_token: { needs: { password: 'the access token' } },
  };

/** @returns a problem for each key that a login needs and that is missing, or that is given and not used. */
export function loginProblems(
  source: { authentication: AuthenticationMethod; encrypt: boolean | 'strict' } & Partial<
    Record<Key, string>
  >,
  target: { password?: string | undefined; ssl_cert_file?: string | undefined },
): Problem[] {
  const method = source.authentication;
  const { needs, takes = [] } = WANTED[method];
  const problems: Problem[] = [];
  for (const key of KEYS) {
    const path = ['source', key];
    const what = needs[key];
    if (what !== undefined && source[key] === undefined) {
      problems.push({ path, text: `is missing; give ${what}` });
    }
    if (what === undefined && !takes.includes(key) && source[key] !== undefined) {
      problems.push({ path, text: `has no effect with source.authentication ${method}; leave it out` });
    }
  }
  if (method.startsWith('entra_') && source.encrypt === false) {
    problems.push({
      path: ['source', 'encrypt'],
      text: 'is false, which would send a token in the clear; encrypt',
    });
  }
  if (target.password === undefined && target.ssl_cert_file === undefined) {
    problems.push({
      path: ['target', 'password'],
      text: "is missing; give the role's password, or target.ssl_cert_file to log in with a certificate",
    });
  }
  return problems;
}
