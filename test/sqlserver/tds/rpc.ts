/**
 * RPC requests of [MS-TDS]: which procedure, with which parameters. Only the procedures that run or prepare SQL
 * text exist. Runs on the server's thread.
 */
import { type EngineParameter, SqlError, type SqlType } from '../contract.js';
import { ByteReader } from './reader.js';
import { readTypeInfo, readValue } from './values.js';

const PROCEDURES: Readonly<Record<number, string>> = {
  1: 'sp_cursor',
  2: 'sp_cursoropen',
  3: 'sp_cursorprepare',
  4: 'sp_cursorexecute',
  5: 'sp_cursorprepexec',
  6: 'sp_cursorunprepare',
  7: 'sp_cursorfetch',
  8: 'sp_cursoroption',
  9: 'sp_cursorclose',
  10: 'sp_executesql',
  11: 'sp_prepare',
  12: 'sp_execute',
  13: 'sp_prepexec',
  14: 'sp_prepexecrpc',
  15: 'sp_unprepare',
};

const STATUS_OUTPUT = 0x01;
const STATUS_DEFAULT = 0x02;

export interface RpcParameter extends EngineParameter {
  output: boolean;
}

export interface RpcRequest {
  /** Lower-case name without schema. */
  procedure: string;
  parameters: RpcParameter[];
}

/** Reads an RPC request behind its ALL_HEADERS. */
export function readRpc(payload: Buffer): RpcRequest {
  const reader = new ByteReader(payload);
  const nameLength = reader.u16();
  let procedure: string;
  if (nameLength === 0xffff) {
    const id = reader.u16();
    const known = PROCEDURES[id];
    if (known === undefined)
      throw new SqlError(2812, `Could not find stored procedure '#${id}'.`, { state: 62 });
    procedure = known;
  } else {
    const name = reader.utf16(nameLength);
    procedure = name
      .toLowerCase()
      .replaceAll(/[[\]]/g, '')
      .replace(/^(?:master)?\.?(?:sys|dbo)?\./, '');
  }
  reader.u16();
  const parameters: RpcParameter[] = [];
  while (reader.left > 0) {
    if (reader.peek() === 0x80 || reader.peek() === 0xff) {
      throw new SqlError(
        8064,
        'Several RPC requests in one message are not supported by the stand-in server.',
      );
    }
    const name = reader.utf16(reader.u8());
    const status = reader.u8();
    const type = readTypeInfo(reader);
    const text = readValue(reader, type);
    if ((status & STATUS_DEFAULT) !== 0) {
      throw new SqlError(
        8178,
        `The parameterized query expects the parameter '${name}', which was not supplied.`,
      );
    }
    parameters.push({ name, type: type.type, text, output: (status & STATUS_OUTPUT) !== 0 });
  }
  return { procedure, parameters };
}

/** SQL text with the parameters it runs with. */
export interface Statement {
  sql: string;
  parameters: EngineParameter[];
}

interface Declared {
  name: string;
  type: SqlType;
  output: boolean;
}

/**
 * Binds the values of sp_executesql to its declaration: `@a int, @b nvarchar(50)`. The declared type counts, as in
 * SQL Server; a value of another kind than declared is refused rather than converted.
 */
export function bindParameters(declaration: string, values: readonly RpcParameter[]): EngineParameter[] {
  const declared = parseDeclaration(declaration);
  const bound = new Map<string, EngineParameter>();
  values.forEach((value, index) => {
    const wanted = value.name === '' ? declared[index] : declared.find((one) => same(one.name, value.name));
    if (wanted === undefined) {
      throw new SqlError(
        8145,
        `${value.name || `#${index + 1}`} is not a parameter for procedure sp_executesql.`,
      );
    }
    if (value.output || wanted.output) {
      throw new SqlError(8162, `The stand-in server has no OUTPUT parameters, as asked for ${wanted.name}.`);
    }
    if (kindOf(wanted.type) !== kindOf(value.type) && value.text !== null) {
      throw new SqlError(8114, `Error converting data type ${value.type.name} to ${wanted.type.name}.`, {
        state: 5,
      });
    }
    bound.set(wanted.name.toLowerCase(), { name: wanted.name, type: wanted.type, text: value.text });
  });
  return declared.map((one) => {
    const value = bound.get(one.name.toLowerCase());
    if (value === undefined) {
      throw new SqlError(
        8178,
        `The parameterized query '(${declaration})' expects the parameter '${one.name}', which was not supplied.`,
      );
    }
    return value;
  });
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Types whose values have the same text form in the contract. */
function kindOf(type: SqlType): string {
  switch (type.name) {
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
      return 'integer';
    case 'decimal':
    case 'numeric':
    case 'money':
    case 'smallmoney':
      return 'decimal';
    case 'float':
    case 'real':
      return 'float';
    case 'char':
    case 'varchar':
    case 'text':
    case 'nchar':
    case 'nvarchar':
    case 'ntext':
    case 'sysname':
    case 'xml':
      return 'text';
    case 'binary':
    case 'varbinary':
    case 'image':
    case 'rowversion':
    case 'timestamp':
      return 'binary';
    default:
      return type.name;
  }
}

const ONE =
  /^\s*(@[\p{L}\p{N}_@#$]+)\s+(?:as\s+)?\[?([a-z_]\w*)\]?\s*(?:\(\s*(max|\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*(output|out)?\s*$/iu;

/** Parses the declaration text of sp_executesql. */
function parseDeclaration(declaration: string): Declared[] {
  if (declaration.trim() === '') return [];
  // A comma inside parentheses belongs to decimal(p, s).
  return declaration.split(/,(?![^(]*\))/).map((part) => {
    const match = ONE.exec(part);
    if (match === null)
      throw new SqlError(102, `Incorrect syntax near '${part.trim().slice(0, 60)}'.`, { class: 15 });
    const [, name, typeName, first, second, output] = match;
    return {
      name: name!,
      type: declaredType(typeName!.toLowerCase(), first, second),
      output: output !== undefined,
    };
  });
}

function declaredType(name: string, first: string | undefined, second: string | undefined): SqlType {
  const size = first === undefined ? undefined : /^max$/i.test(first) ? -1 : Number(first);
  switch (name) {
    case 'char':
    case 'varchar':
    case 'nchar':
    case 'nvarchar':
    case 'binary':
    case 'varbinary':
      return { name, length: size ?? 1 };
    case 'decimal':
    case 'dec':
    case 'numeric':
      return { name: name === 'dec' ? 'decimal' : name, precision: size ?? 18, scale: Number(second ?? 0) };
    case 'time':
    case 'datetime2':
    case 'datetimeoffset':
      return { name, scale: size ?? 7 };
    case 'float':
      return { name: size !== undefined && size <= 24 ? 'real' : 'float' };
    case 'integer':
      return { name: 'int' };
    case 'bit':
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
    case 'money':
    case 'smallmoney':
    case 'real':
    case 'date':
    case 'datetime':
    case 'smalldatetime':
    case 'uniqueidentifier':
    case 'text':
    case 'ntext':
    case 'image':
    case 'xml':
    case 'sysname':
    case 'rowversion':
    case 'timestamp':
    case 'sql_variant':
      return { name };
    default:
      throw new SqlError(2715, `Column, parameter, or variable #1: Cannot find data type ${name}.`, {
        state: 3,
      });
  }
}
