/**
 * Numbers of the wire, by their [MS-TDS] names: packet types and status bits, token types, data type
 * bytes, DONE status bits, ENVCHANGE types. Shared by every part of the stand-in server; runs on its one thread.
 */

export const PACKET = {
  sqlBatch: 0x01,
  rpc: 0x03,
  response: 0x04,
  attention: 0x06,
  bulkLoad: 0x07,
  fedAuthToken: 0x08,
  transactionManager: 0x0e,
  login7: 0x10,
  sspi: 0x11,
  prelogin: 0x12,
} as const;

export const STATUS = {
  endOfMessage: 0x01,
  ignore: 0x02,
  resetConnection: 0x08,
  resetConnectionSkipTransaction: 0x10,
} as const;

export const HEADER_BYTES = 8;

export const TOKEN = {
  returnStatus: 0x79,
  colMetadata: 0x81,
  error: 0xaa,
  info: 0xab,
  returnValue: 0xac,
  loginAck: 0xad,
  featureExtAck: 0xae,
  row: 0xd1,
  nbcRow: 0xd2,
  envChange: 0xe3,
  done: 0xfd,
  doneProc: 0xfe,
  doneInProc: 0xff,
} as const;

export const DONE = {
  final: 0x00,
  more: 0x01,
  error: 0x02,
  inTransaction: 0x04,
  count: 0x10,
  attention: 0x20,
} as const;

export const ENV = {
  database: 1,
  language: 2,
  packetSize: 4,
  collation: 7,
  begin: 8,
  commit: 9,
  rollback: 10,
  resetAck: 18,
  routing: 20,
} as const;

export const TYPE = {
  null: 0x1f,
  image: 0x22,
  text: 0x23,
  guid: 0x24,
  intN: 0x26,
  date: 0x28,
  time: 0x29,
  datetime2: 0x2a,
  datetimeOffset: 0x2b,
  int1: 0x30,
  bit: 0x32,
  int2: 0x34,
  int4: 0x38,
  datetime4: 0x3a,
  float4: 0x3b,
  money: 0x3c,
  datetime: 0x3d,
  float8: 0x3e,
  variant: 0x62,
  ntext: 0x63,
  bitN: 0x68,
  decimalN: 0x6a,
  numericN: 0x6c,
  floatN: 0x6d,
  moneyN: 0x6e,
  datetimeN: 0x6f,
  money4: 0x7a,
  int8: 0x7f,
  bigVarBinary: 0xa5,
  bigVarChar: 0xa7,
  bigBinary: 0xad,
  bigChar: 0xaf,
  nvarchar: 0xe7,
  nchar: 0xef,
  udt: 0xf0,
  xml: 0xf1,
  tableValued: 0xf3,
} as const;

/** Announced PLP total lengths that are no lengths. */
export const PLP_NULL = 0xffff_ffff_ffff_ffffn;
export const PLP_UNKNOWN_LENGTH = 0xffff_ffff_ffff_fffen;

/** `length` of a USHORTLEN type that announces a PLP value. */
export const USHORT_PLP = 0xffff;
/** USHORTLEN value that means NULL. */
export const USHORT_NULL = 0xffff;

/** TDS versions a client can ask for in LOGIN7. */
export const TDS_VERSION = { v73A: 0x730a0003, v73B: 0x730b0003, v74: 0x74000004 } as const;

/** A client broke the protocol: answered by closing its connection, as SQL Server does. */
export class ProtocolViolation extends Error {}
