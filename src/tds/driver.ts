/**
 * tedious, without what only logins through Microsoft Entra ID need. Main thread and reader threads.
 *
 * Everything that uses tedious imports it from here, so that the stand-in is there before tedious loads.
 */
import './lazyIdentity.js';

export { Connection, type ConnectionConfiguration, ISOLATION_LEVEL, Request, TYPES } from 'tedious';
