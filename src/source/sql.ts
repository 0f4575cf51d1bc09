/**
 * Spelling T-SQL: the one place where a name becomes part of a statement. Values never do; they travel as
 * parameters of sp_executesql.
 *
 * Runs on the main thread and in the reader workers.
 */

/** @returns `name` as a delimited identifier: `[Order Details]`, with `]` doubled. */
export function quote(name: string): string {
  return `[${name.replaceAll(']', ']]')}]`;
}

/** @returns `[schema].[name]`. */
export function quoteTable(table: { schema: string; name: string }): string {
  return `${quote(table.schema)}.${quote(table.name)}`;
}

/** Parameters in the order they were added, each named so that it can't be mistaken for another: `@s0`, `@s1`. */
export function numberedParameters(
  prefix: string,
  values: readonly string[],
): { names: string[]; parameters: { name: string; value: string }[] } {
  const parameters = values.map((value, index) => ({ name: `${prefix}${index}`, value }));
  return { names: parameters.map((parameter) => `@${parameter.name}`), parameters };
}
