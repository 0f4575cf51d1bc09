/**
 * Notices that the answer to a statement will never come: a statement may take hours, and a connection may be lost
 * without a word. While one is waited for, the server is asked on another connection what its session does.
 *
 * Runs on the main thread.
 */
import { AppError } from '../errors.js';

/** What a session does, by the server: null where it has none of that process id. */
export type SessionState = { state: string; waitsForClient: boolean } | null;

export interface Watched {
  /** How long a statement may last before it is asked about, and again each time, in ms; 0: it is not. */
  stallMs: number;
  /** Asks the server, on a connection of its own. */
  ask: () => Promise<SessionState>;
  /** Ends the wait: the statement fails as one whose connection was lost. */
  hangUp: () => void;
}

/** An answer may be on its way while the server says that it was sent: looked at again after this long. */
const AGAIN_MS = 1000;

/** @returns `work`, given up where the server does not work on it any more or can't be reached. */
export async function watched<T>({ stallMs, ask, hangUp }: Watched, work: Promise<T>): Promise<T> {
  if (stallMs <= 0) return work;
  let timer: NodeJS.Timeout;
  let over = false;
  const look = async (suspected: boolean): Promise<void> => {
    const lost = await isLost(ask);
    if (over) return;
    if (lost && suspected) hangUp();
    else wait(lost ? AGAIN_MS : stallMs, lost);
  };
  const wait = (delayMs: number, suspected: boolean): void => {
    timer = setTimeout(() => void look(suspected), delayMs);
  };
  wait(stallMs, false);
  try {
    return await work;
  } finally {
    over = true;
    clearTimeout(timer!);
  }
}

async function isLost(ask: Watched['ask']): Promise<boolean> {
  try {
    const session = await ask();
    return session === null || session.state !== 'active' || session.waitsForClient;
  } catch (error) {
    // A server that refuses a further connection is there; one that starts up has ended every session.
    const state = error instanceof AppError ? error.serverCode : undefined;
    return state === undefined || state === '57P03';
  }
}
