/**
 * Numbers of the protocol: token types and data types. [MS-TDS] Packet Data Token Stream, Data Type Definitions.
 *
 * Leaf module, any thread.
 */

/** Token types a server response is made of. */
export const TOKEN = {
  RETURNSTATUS: 0x79,
  COLMETADATA: 0x81,
  TABNAME: 0xa4,
  COLINFO: 0xa5,
  ORDER: 0xa9,
  ERROR: 0xaa,
  INFO: 0xab,
  RETURNVALUE: 0xac,
  ROW: 0xd1,
  NBCROW: 0xd2,
  ENVCHANGE: 0xe3,
  SESSIONSTATE: 0xe4,
  DONE: 0xfd,
  DONEPROC: 0xfe,
  DONEINPROC: 0xff,
} as const;

/** Data types of TYPE_INFO. */
export const TYPE = {
  IMAGE: 0x22,
  TEXT: 0x23,
  GUID: 0x24,
  INTN: 0x26,
  DATEN: 0x28,
  TIMEN: 0x29,
  DATETIME2N: 0x2a,
  DATETIMEOFFSETN: 0x2b,
  INT1: 0x30,
  BIT: 0x32,
  INT2: 0x34,
  INT4: 0x38,
  DATETIM4: 0x3a,
  FLT4: 0x3b,
  MONEY: 0x3c,
  DATETIME: 0x3d,
  FLT8: 0x3e,
  SSVARIANT: 0x62,
  NTEXT: 0x63,
  BITN: 0x68,
  DECIMALN: 0x6a,
  NUMERICN: 0x6c,
  FLTN: 0x6d,
  MONEYN: 0x6e,
  DATETIMN: 0x6f,
  MONEY4: 0x7a,
  INT8: 0x7f,
  BIGVARBIN: 0xa5,
  BIGVARCHAR: 0xa7,
  BIGBINARY: 0xad,
  BIGCHAR: 0xaf,
  NVARCHAR: 0xe7,
  NCHAR: 0xef,
  UDT: 0xf0,
  XML: 0xf1,
} as const;

/** How a value's extent is written in front of it. */
export type Framing =
  /** No length, never NULL: `bytes` are the value. */
  | 'fixed'
  /** One length byte, 0 is NULL. */
  | 'byte'
  /** Two length bytes, 0xFFFF is NULL. */
  | 'ushort'
  /** [MS-TDS] PLP: total length, then chunks. */
  | 'plp'
  /** Text pointer and timestamp, then four length bytes: text, ntext, image. A zero pointer length is NULL. */
  | 'textptr'
  /** Four length bytes, 0 is NULL: sql_variant. */
  | 'long';

/** Sizes of the fixed-length types in bytes. */
export const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  [TYPE.INT1, 1],
  [TYPE.BIT, 1],
  [TYPE.INT2, 2],
  [TYPE.INT4, 4],
  [TYPE.DATETIM4, 4],
  [TYPE.FLT4, 4],
  [TYPE.MONEY, 8],
  [TYPE.DATETIME, 8],
  [TYPE.FLT8, 8],
  [TYPE.MONEY4, 4],
  [TYPE.INT8, 8],
]);
