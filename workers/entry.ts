/**
 * What every worker does around its work: the control port, and errors as data, since structured clone drops an
 * error's class and code.
 */
import type { MessagePort } from 'node:worker_threads';
import { type Remote, wrap } from 'comlink';
import { type ErrorData, toErrorData } from '../src/errors.js';
import { controlEndpoint } from '../src/plan/endpoint.js';

// Node prints what libraries do the old way on stderr, where every line may have to be JSON.
process.noDeprecation = true;

/** How a worker's task ended. */
export interface WorkerEnd {
  error: ErrorData | null;
}

/** Runs a task that talks to the orchestrator through `port`, which is closed afterwards. */
export async function runTask<Control>(
  port: MessagePort,
  work: (control: Remote<Control>) => Promise<void>,
): Promise<WorkerEnd> {
  try {
    await work(wrap<Control>(controlEndpoint(port)));
    return { error: null };
  } catch (error) {
    return { error: toErrorData(error) };
  } finally {
    port.close();
  }
}
