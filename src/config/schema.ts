/**
 * The configuration as the rest of the program sees it, and the check that a parsed file is one.
 *
 * Runs on the main thread; workers are handed the parts they need as plain data. Keys keep the file's
 * snake_case. Keys sized from the host (`workers`, `chunk_size`, ...) are undefined until `host/sizes.ts`
 * has chosen.
 */
import * as v from 'valibot';
import { AppError } from '../errors.js';
import { loginProblems } from './authentication.js';
import { contradictions } from './contradictions.js';
import { configSchema, SECRET_PATHS } from './keys.js';
import { type Origin, type Problem, reportProblems } from './problems.js';
import { tidy } from './tidy.js';

/** A configuration as a file or a program writes it: what has a default may be left out. */
export type ConfigInput = v.InferInput<typeof configSchema>;

type Parsed = v.InferOutput<typeof configSchema>;
type Filled<T, K extends keyof T> = Omit<T, K> & { [key in K]-?: NonNullable<T[key]> };

/** `user` and `password` are empty where the login does without. */
export type SourceConfig = Filled<Parsed['source'], 'user' | 'password'>;
export type TargetConfig = Filled<Parsed['target'], 'password'>;
/** `use_hash_detection` is settled by the mode when the file does not say. */
export type MigrationConfig = Omit<Parsed['migration'], 'use_hash_detection'> & {
  use_hash_detection: boolean;
};

/** The configuration with every default filled in; undefined only where the host's size decides. */
export interface Config {
  source: SourceConfig;
  target: TargetConfig;
  migration: MigrationConfig;
}

export interface ParseOptions {
  /** What to call the file in messages. */
  file?: string;
  /** Paths whose text came out of a variable: such text may stand for a number or a switch. */
  expanded?: ReadonlySet<string>;
  /** Where a path's value stands, for messages. */
  locate?: (path: readonly string[]) => Origin | undefined;
}

/**
 * Checks a parsed YAML or JSON tree and fills in the defaults. A key without a value counts as not given.
 *
 * @throws AppError CONFIG_INVALID listing every problem: path, place, what was given, what would be right.
 */
export function parseConfig(input: unknown, options: ParseOptions = {}): Config {
  const file = options.file ?? 'configuration';
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new AppError('CONFIG_INVALID', `${file} is not a mapping of keys to values`, {
      remedy: 'begin with the sections source:, target: and migration:',
    });
  }
  const { value, problems } = tidy(input, options.expanded ?? new Set());
  const result = v.safeParse(configSchema, value);
  problems.push(...(result.issues ?? []).map(toProblem).filter((problem) => problem !== null));
  if (!result.success || problems.length > 0) throw reportProblems(file, problems, options.locate);

  const { migration, source, target } = result.output;
  const config: Config = {
    source: { ...source, user: source.user ?? '', password: source.password ?? '' },
    target: { ...target, password: target.password ?? '' },
    migration: {
      ...migration,
      use_hash_detection: migration.use_hash_detection ?? migration.target_mode === 'upsert',
    },
  };
  const clashes = [...loginProblems(source, target), ...contradictions(config)];
  if (clashes.length > 0) throw reportProblems(file, clashes, options.locate);
  return config;
}

/** @returns null for unknown keys, which `tidy` reports itself, with a suggestion. */
function toProblem(issue: v.BaseIssue<unknown>): Problem | null {
  const keys = (issue.path ?? []).map((item) => item.key);
  const path = keys.map(String);
  if (issue.type === 'strict_object' && issue.expected === 'never') return null;
  if (issue.received === 'undefined') {
    return {
      path,
      text: `is missing; ${issue.type === 'strict_object' ? 'it is required' : `give ${issue.message}`}`,
    };
  }
  const expected = issue.type === 'strict_object' ? 'a mapping of keys to values' : issue.message;
  const given = SECRET_PATHS.includes(path.join('.')) ? 'this value' : printable(issue.input);
  return { path, text: `${given} is not right here; give ${expected}` };
}

/** A given value for a message: short, on one line, and unmistakable about its type. */
function printable(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
