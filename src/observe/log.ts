/**
 * Logs: one line each on stderr, as text for people or JSON for machines, never with a password in it.
 *
 * Runs on the main thread; workers send their lines here as events. pino decides what is logged and builds
 * the line; writing is synchronous, so that nothing is lost when the process ends.
 */
import pino from 'pino';
import type { LogFields, LogLevel } from '../engine/events.js';
import { oneLine } from './format.js';

export type LogFormat = 'text' | 'json';

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** From here on these texts appear as `***` wherever they turn up, in a driver's message for instance. */
  hide(secrets: readonly string[]): void;
}

export interface LogOptions {
  format: LogFormat;
  level: LogLevel;
  /** Takes whole lines, newline included. */
  write: (line: string) => void;
}

/** A password this short turns up in ordinary words; hiding it would tell more than it hides. */
const SHORTEST_HIDDEN = 5;

export function createLog({ format, level, write }: LogOptions): Log {
  let hidden: string[] = [];
  const logger = pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      redact: { paths: ['password', '*.password'], censor: '***' },
    },
    { write: (line: string) => write(format === 'json' ? line : textLine(line)) },
  );
  const scrub = (text: string) => hidden.reduce((clean, secret) => clean.replaceAll(secret, '***'), text);
  const at =
    (method: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      const clean = Object.entries(fields).map(([key, value]) => [
        key,
        typeof value === 'string' ? scrub(value) : value,
      ]);
      logger[method](Object.fromEntries(clean), scrub(message));
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    hide: (secrets) => {
      hidden = [...hidden, ...secrets.filter((secret) => secret.length >= SHORTEST_HIDDEN)];
    },
  };
}

/** `13:05:07 warn  message key=value`, from pino's JSON. */
function textLine(json: string): string {
  const { time, level, message, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const clock = new Date(String(time)).toTimeString().slice(0, 8);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`);
  // Lines of a message that has several are kept, and indented under the first.
  const text = String(message).split('\n').map(oneLine).join('\n               ');
  return `${clock} ${String(level).padEnd(5)} ${text}${rest.join('')}\n`;
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w.:/+-]+$/.test(text) ? text : JSON.stringify(text);
}
