/**
 * comlink over a worker_threads port: Node's MessagePort is an EventTarget and needs no adapter, only the type.
 *
 * Any thread.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Endpoint } from 'comlink';

export function controlEndpoint(port: MessagePort): Endpoint {
  return port as unknown as Endpoint;
}
