/**
 * Logs: one line each on stderr, as text for people or JSON for machines, never with a password in it.
 *
 * Runs on the main thread; workers send their lines here as events. pino decides what is logged and builds
 * the line; writing is synchronous, so that nothing is lost when the process ends.
 */
import pino from 'pino';
import type { LogFields, LogLevel } from '../engine/events.js';
import { redacted, redactedValue } from '../secrets.js';
import { oneLine } from './format.js';

export type LogFormat = 'text' | 'json';

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** From here on every line has these fields. */
  bind(fields: LogFields): void;
}

export interface LogOptions {
  format: LogFormat;
  level: LogLevel;
  /** Takes whole lines, newline included. */
  write: (line: string) => void;
}

export function createLog({ format, level, write }: LogOptions): Log {
  let bound: LogFields = {};
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
  const at =
    (method: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      logger[method](redactedValue({ ...bound, ...fields }), redacted(message));
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    bind: (fields) => {
      bound = { ...bound, ...fields };
    },
  };
}

/** `13:05:07 warn  message key=value`, from pino's JSON; the run's id, and a table the message names, are left out. */
function textLine(json: string): string {
  const { time, level, message, run_id: _, ...fields } = JSON.parse(json) as Record<string, unknown>;
  if (typeof fields.table === 'string' && String(message).includes(fields.table)) delete fields.table;
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
