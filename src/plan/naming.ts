/**
 * Where the tables of a source schema go, and how their names are written there.
 *
 * Main thread; pure.
 */
import { asksForOne } from '../config/fields.js';
import type { Config } from '../config/schema.js';
import { type IdentifierCase, inCase } from './casing.js';
import { fitting } from './names.js';

export interface Naming {
  identifierCase: IdentifierCase;
  /** @returns the target schema of a source schema. */
  schemaOf(sourceSchema: string): string;
}

/** SQL Server's default schema: where several schemas are migrated, its tables go to `target.schema`. */
const DEFAULT_SCHEMA = 'dbo';

/**
 * What `schema_mapping` names goes where it says; the only source schema, and `dbo` among several, to `target.schema`;
 * every other one to a schema of its own name.
 */
export function namingOf({ source, target, migration }: Config): Naming {
  const { identifier_case: identifierCase, schema_mapping: mapping } = migration;
  const one = asksForOne(source.schema);
  return {
    identifierCase,
    schemaOf(schema) {
      const given = mapped(mapping, schema);
      if (given !== undefined) return given;
      return one || schema === DEFAULT_SCHEMA ? target.schema : targetName(schema, { identifierCase });
    },
  };
}

/** @returns the name in the target of something called `name`: in its case, never too long. */
export function targetName(name: string, { identifierCase }: Pick<Naming, 'identifierCase'>): string {
  return fitting(inCase(name, identifierCase), name);
}

/** @returns entries of `migration.schema_mapping` that no table of the run is in. */
export function unusedMappings(
  mapping: Readonly<Record<string, string>>,
  schemas: readonly string[],
): string[] {
  const used = new Set(schemas.map((schema) => mappedKey(mapping, schema)));
  return Object.keys(mapping).filter((key) => !used.has(key));
}

function mapped(mapping: Readonly<Record<string, string>>, schema: string): string | undefined {
  const key = mappedKey(mapping, schema);
  return key === undefined ? undefined : mapping[key];
}

/** The very name, else the same but for case: as most source databases compare names. */
function mappedKey(mapping: Readonly<Record<string, string>>, schema: string): string | undefined {
  if (Object.hasOwn(mapping, schema)) return schema;
  return Object.keys(mapping).find((key) => key.toLowerCase() === schema.toLowerCase());
}
