/**
 * How to log in to SQL Server: its own logins, Windows (NTLM), Microsoft Entra ID. What tedious is told of each.
 *
 * Runs on the main thread and in the reader workers; every thread logs in for itself.
 */
import type { AuthenticationMethod } from '../config/authentication.js';
import type { ConnectionConfiguration } from '../tds/driver.js';

/** The parts of the config's `source` that say who logs in. */
export interface SourceLogin {
  authentication: AuthenticationMethod;
  /** The login, the Windows user, or a client id; empty where the method needs none. */
  user: string;
  /** The password, a client secret or an access token; empty where the method needs none. */
  password: string;
  /** Windows domain, for NTLM. */
  domain?: string | undefined;
  tenant_id?: string | undefined;
  client_id?: string | undefined;
}

type Login = NonNullable<ConnectionConfiguration['authentication']>;

/** @returns tedious's form of the login; what it needs is there, the configuration was checked. */
export function authentication(login: SourceLogin): Login {
  const { user, password, domain = '', tenant_id: tenantId = '', client_id: clientId = '' } = login;
  const optionalClient = clientId === '' ? {} : { clientId };
  switch (login.authentication) {
    case 'sql':
      return { type: 'default', options: { userName: user, password } };
    case 'ntlm':
      return { type: 'ntlm', options: { userName: user, password, domain } };
    case 'entra_default':
      return { type: 'azure-active-directory-default', options: optionalClient };
    case 'entra_managed_identity':
      return { type: 'azure-active-directory-msi-vm', options: optionalClient };
    case 'entra_service_principal':
      return {
        type: 'azure-active-directory-service-principal-secret',
        options: { clientId, clientSecret: password, tenantId },
      };
    case 'entra_password':
      return {
        type: 'azure-active-directory-password',
        options: { userName: user, password, clientId, tenantId },
      };
    case 'entra_token':
      return { type: 'azure-active-directory-access-token', options: { token: password } };
  }
}
