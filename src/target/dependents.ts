/**
 * What else would go with tables that are dropped: views, foreign keys, functions, partitions, publications, and the
 * place of a table under another.
 *
 * Runs on the main thread.
 */
import type { TargetName } from './catalog.js';
import type { TargetConnection } from './connection.js';

/** An object, or a membership in one, that a table to be dropped would take with it. */
export interface Dependent {
  /** The first of the tables it depends on. */
  table: TargetName;
  /** As `pg_identify_object` has it: `view public.names`, `table constraint fk on public.visits`. */
  object: string;
}

/**
 * `going` is everything that DROP ... CASCADE would reach. Of it, what is a part of something else that goes (an index,
 * a view's rule) is not worth naming; partitions and publications are, though they would go without CASCADE.
 */
const DEPENDENTS_SQL = `
WITH RECURSIVE roots AS (
  SELECT c.oid, n.nspname, c.relname FROM unnest($1::text[], $2::text[]) AS w(schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
  WHERE c.relkind IN ('r', 'p')
), going(root, classid, objid, objsubid) AS (
  SELECT oid, 'pg_class'::regclass::oid, oid, 0 FROM roots
  UNION
  SELECT g.root, next.classid, next.objid, next.objsubid FROM going g CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
    WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
      AND d.deptype IN ('n', 'a', 'i', 'P', 'S', 'x')
    UNION ALL
    -- A part that can't stay takes along what it is a part of: a rule its view.
    SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d
    WHERE d.classid = g.classid AND d.objid = g.objid AND d.objsubid = g.objsubid AND d.deptype = 'i'
  ) AS next
), parts AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid FROM pg_depend d
  JOIN going whole ON whole.classid = d.refclassid AND whole.objid = d.refobjid
    AND (whole.objsubid = 0 OR whole.objsubid = d.refobjsubid)
  WHERE d.deptype IN ('a', 'i', 'P', 'S', 'x')
), worth AS MATERIALIZED (
  SELECT g.root, g.classid, g.objid, g.objsubid FROM going g
  -- A join, and not NOT EXISTS: that looks through all of it for each object, and there are a dozen a table.
  LEFT JOIN parts p ON p.classid = g.classid AND p.objid = g.objid AND p.objsubid = g.objsubid
  WHERE NOT (g.classid = 'pg_class'::regclass AND g.objid IN (SELECT oid FROM roots))
    AND (
      p.objid IS NULL
      OR g.classid = 'pg_publication_rel'::regclass
      OR g.classid = 'pg_class'::regclass AND EXISTS (
        SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhrelid = g.objid AND c.relkind IN ('r', 'p', 'f')))
), named AS (
  SELECT DISTINCT ON (w.classid, w.objid, w.objsubid) r.nspname AS schema, r.relname AS name,
    o.type || ' ' || o.identity AS object
  FROM worth w
  JOIN roots r ON r.oid = w.root
  CROSS JOIN LATERAL pg_identify_object(w.classid, w.objid, w.objsubid) AS o
  ORDER BY w.classid, w.objid, w.objsubid, r.nspname, r.relname
), parents AS (
  -- DROP asks nothing of the table it is a partition of, or inherits from, which loses its rows all the same.
  SELECT r.nspname AS schema, r.relname AS name, 'membership in ' || o.type || ' ' || o.identity AS object
  FROM roots r
  JOIN pg_inherits i ON i.inhrelid = r.oid AND i.inhparent NOT IN (SELECT oid FROM roots)
  CROSS JOIN LATERAL pg_identify_object('pg_class'::regclass, i.inhparent, 0) AS o
)
SELECT json_build_object('schema', schema, 'name', name) AS table, object
FROM (SELECT * FROM named UNION ALL SELECT * FROM parents) AS every ORDER BY object`;

/** @returns what stands on these tables and is none of them, whatever would go with what; by name. */
export function dependents(target: TargetConnection, names: readonly TargetName[]): Promise<Dependent[]> {
  return target.query<Dependent>(DEPENDENTS_SQL, [
    names.map(({ schema }) => schema),
    names.map(({ name }) => name),
  ]);
}
