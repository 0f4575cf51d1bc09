/**
 * Rows with the hash they have, worked out on the page about hashing. A test computes each by the hash tier and by
 * PostgreSQL.
 *
 * Pure.
 */
import { createHash } from 'node:crypto';
import type { CopyField } from '../../src/copy/frame.js';
import {
  bytes,
  decimal,
  float,
  type HashSample,
  integer,
  moment,
  text,
} from '../../src/types/hashSamples.js';
import { code, table } from './markdown.js';

export interface ExampleColumn {
  /** As a table of SQL Server has it. */
  sqlType: string;
  value: string;
  field: CopyField;
  scale?: number;
  /** Content of the COPY field; null is NULL. */
  content: Buffer | null;
  /** PostgreSQL expression of the canonical bytes. */
  sent: string;
}

export interface HashExample {
  title: string;
  columns: readonly ExampleColumn[];
}

type Made = Pick<ExampleColumn, 'field' | 'scale' | 'sent'> & { sample: HashSample | null };

function column(sqlType: string, value: string, made: Made): ExampleColumn {
  const { sample, ...rest } = made;
  return { sqlType, value, ...rest, content: sample?.field ?? null };
}

const int = (value: number): ExampleColumn =>
  column('int', String(value), {
    field: 'int4',
    sent: `int4send(${value})`,
    sample: integer(4, BigInt(value)),
  });

const nvarchar = (value: string): ExampleColumn =>
  column('nvarchar(20)', `'${value}'`, { field: 'text', sent: `textsend('${value}')`, sample: text(value) });

const number = (sqlType: string, value: string, scale: number): ExampleColumn =>
  column(sqlType, value, {
    ...{ field: 'numeric', scale },
    sent: `convert_to(${value}::numeric(19,${scale})::text, 'UTF8')`,
    sample: decimal(value, scale),
  });

/** 12:34:56.765432, in microseconds. */
const CLOCK = 45_296_765_432n;

export const HASH_EXAMPLES: readonly HashExample[] = [
  {
    title: 'A number, a text, a switch',
    columns: [
      int(42),
      nvarchar('Größe'),
      column('bit', '1', { field: 'bool', sent: 'boolsend(true)', sample: integer(1, 1n) }),
    ],
  },
  {
    title: 'Decimals are hashed as text with all their decimals; NULL is no value at all',
    columns: [
      number('decimal(9,2)', '0.05', 2),
      number('money', '1234567.0000', 4),
      column('int', 'NULL', { field: 'int4', sent: 'NULL', sample: null }),
      column('float', '0.1', { field: 'float8', sent: 'float8send(0.1)', sample: float(8, '0.1') }),
    ],
  },
  {
    title:
      'Moments are microseconds since 2000-01-01, their seventh digit floored; a GUID is its digits in order',
    columns: [
      column('datetime2(7)', '2024-02-29 12:34:56.7654321', {
        field: 'timestamp',
        sent: "timestamp_send('2024-02-29 12:34:56.765432')",
        sample: moment('2024-02-29T12:34:56.7654321', '2024-02-29', CLOCK),
      }),
      column('uniqueidentifier', '6F9619FF-8B86-D011-B42D-00C04FC964FF', {
        field: 'uuid',
        sent: "uuid_send('6f9619ff-8b86-d011-b42d-00c04fc964ff')",
        sample: bytes('6f9619ff8b86d011b42d00c04fc964ff'),
      }),
      column('varbinary(4)', '0x00FF', { field: 'bytea', sent: "'\\x00ff'::bytea", sample: bytes('00ff') }),
    ],
  },
  { title: 'Lengths keep columns apart: ab, c', columns: [nvarchar('ab'), nvarchar('c')] },
  { title: 'Lengths keep columns apart: a, bc', columns: [nvarchar('a'), nvarchar('bc')] },
  {
    title: 'An empty text and a NULL',
    columns: [nvarchar(''), column('nvarchar(20)', 'NULL', { field: 'text', sent: 'NULL', sample: null })],
  },
];

/** The bytes a value is hashed as, without their length; null for NULL. */
function canonical({ field, value, content }: ExampleColumn): Buffer | null {
  return content !== null && field === 'numeric' ? Buffer.from(value) : content;
}

/** Length and bytes, or `ff ff ff ff`. */
function piece(one: ExampleColumn): Buffer {
  const value = canonical(one);
  const length = Buffer.alloc(4);
  length.writeInt32BE(value?.length ?? -1);
  return Buffer.concat([length, value ?? Buffer.alloc(0)]);
}

export function exampleHash({ columns }: HashExample): string {
  return createHash('md5')
    .update(Buffer.concat(columns.map(piece)))
    .digest('hex');
}

/** A statement for psql that computes the same. */
export function exampleSql({ columns }: HashExample): string {
  const rows = columns.map(({ sent }, i) => `  (${i + 1}, ${sent === 'NULL' ? 'NULL::bytea' : sent})`);
  return `SELECT md5(string_agg(coalesce(int4send(octet_length(b)) || b, '\\xffffffff'), ''::bytea ORDER BY n))
FROM (VALUES
${rows.join(',\n')}
) AS canonical (n, b);`;
}

/** `hash examples`. */
export function hashParts(): [string, string][] {
  const shown = HASH_EXAMPLES.map((example, i) => {
    const all = Buffer.concat(example.columns.map(piece)).toString('hex');
    return [
      `### ${i + 1}. ${example.title}`,
      table(
        ['column', 'value', 'length', 'bytes'],
        example.columns.map((one) => {
          const spaced = piece(one).toString('hex').replace(/../g, '$& ').trim();
          return [
            code(one.sqlType),
            code(one.value),
            code(spaced.slice(0, 11)),
            code(spaced.slice(12) || ' '),
          ];
        }),
      ),
      `MD5: \`${exampleHash(example)}\``,
      `\`\`\`bash\necho ${all} | xxd -r -p | md5sum\n\`\`\``,
      `\`\`\`sql\n${exampleSql(example)}\n\`\`\``,
    ].join('\n\n');
  });
  return [['hash examples', shown.join('\n\n')]];
}
