/**
 * What a PostgreSQL database has in some schemas, as sorted lines of text that two databases can be compared by.
 *
 * Runs on the main thread of the test process.
 */
import type pg from 'pg';

const COLUMNS = `
SELECT format('column %s.%I %s%s%s%s%s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' COLLATE ' || a.attcollation::regcollation::text ELSE '' END,
    CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
    CASE WHEN a.attgenerated <> '' THEN ' GENERATED AS ' || pg_get_expr(d.adbin, d.adrelid)
         WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
    CASE WHEN a.attidentity <> '' THEN ' IDENTITY ' || a.attidentity::text ELSE '' END)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE c.relnamespace = ANY ($1::text[]::regnamespace[]) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped`;

const TABLES = `
SELECT format('table %s%s (%s)', c.oid::regclass, CASE c.relpersistence WHEN 'u' THEN ' UNLOGGED' ELSE '' END,
    (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
      WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
  FROM pg_class c WHERE c.relnamespace = ANY ($1::text[]::regnamespace[]) AND c.relkind = 'r'`;

const INDEXES = `
SELECT CASE WHEN x.indisvalid THEN 'index ' ELSE 'INVALID index ' END || pg_get_indexdef(x.indexrelid)
  FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid WHERE c.relnamespace = ANY ($1::text[]::regnamespace[])`;

/** NOT NULL is said of the columns. */
const CONSTRAINTS = `
SELECT format('constraint %s.%I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE connamespace = ANY ($1::text[]::regnamespace[]) AND contype <> 'n'`;

const SEQUENCES = `
SELECT format('sequence %s %s START %s INCREMENT %s MIN %s MAX %s%s', c.oid::regclass, format_type(s.seqtypid, NULL),
    s.seqstart, s.seqincrement, s.seqmin, s.seqmax, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relnamespace = ANY ($1::text[]::regnamespace[])`;

const COMMENTS = `
SELECT format('comment on %s %s: %s', i.type, i.identity, d.description)
  FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
  WHERE i.schema = ANY ($1) OR i.type = 'schema' AND i.identity = ANY (SELECT quote_ident(n) FROM unnest($1) n)
    OR i.type = 'table constraint' AND (SELECT connamespace FROM pg_constraint WHERE oid = d.objoid) = ANY ($1::text[]::regnamespace[])`;

/** @returns tables, columns, indexes, constraints, sequences and comments, sorted by code point. */
export async function pgCatalog(client: pg.Client, schemas: readonly string[]): Promise<string[]> {
  const sql = [TABLES, COLUMNS, INDEXES, CONSTRAINTS, SEQUENCES, COMMENTS].join('\nUNION ALL\n');
  const { rows } = await client.query<[string]>({ text: sql, values: [schemas], rowMode: 'array' });
  return rows.map(([line]) => line).sort();
}
