/**
 * A value of every T-SQL type at and off its limits, for the tests of the TDS side. Runs in the test's process.
 */
import type { SqlType } from '../contract.js';

/** A type, a value in the contract's text form, and what tedious makes of it. */
export const CASES: readonly { type: SqlType; text: string; value: unknown }[] = [
  { type: { name: 'bit' }, text: 't', value: true },
  { type: { name: 'bit' }, text: 'f', value: false },
  { type: { name: 'tinyint' }, text: '255', value: 255 },
  { type: { name: 'smallint' }, text: '-32768', value: -32768 },
  { type: { name: 'int' }, text: '-2147483648', value: -2147483648 },
  { type: { name: 'bigint' }, text: '-9223372036854775808', value: '-9223372036854775808' },
  { type: { name: 'decimal', precision: 5, scale: 2 }, text: '-999.99', value: -999.99 },
  { type: { name: 'decimal', precision: 18, scale: 4 }, text: '0.0500', value: 0.05 },
  {
    type: { name: 'numeric', precision: 28, scale: 0 },
    text: '12345678901234567890123',
    value: 1.2345678901234568e22,
  },
  { type: { name: 'numeric', precision: 38, scale: 10 }, text: '-1.5', value: -1.5 },
  { type: { name: 'money' }, text: '-922337203685477.5808', value: -922337203685477.6 },
  { type: { name: 'money' }, text: '0.0001', value: 0.0001 },
  { type: { name: 'smallmoney' }, text: '-214748.3648', value: -214748.3648 },
  { type: { name: 'float' }, text: '-1.7976931348623157e308', value: -1.7976931348623157e308 },
  { type: { name: 'real' }, text: '1.5', value: 1.5 },
  { type: { name: 'date' }, text: '0', value: new Date('0001-01-01T00:00:00Z') },
  { type: { name: 'date' }, text: '3652058', value: new Date('9999-12-31T00:00:00Z') },
  { type: { name: 'datetime' }, text: '-1391644800000', value: new Date('1753-01-01T00:00:00Z') },
  { type: { name: 'datetime' }, text: '25920001', value: new Date('1900-01-02T00:00:00.003Z') },
  { type: { name: 'smalldatetime' }, text: '94371839', value: new Date('2079-06-06T23:59:00Z') },
  { type: { name: 'time', scale: 0 }, text: '863990000000', value: new Date('1970-01-01T23:59:59Z') },
  { type: { name: 'time', scale: 3 }, text: '863999990000', value: new Date('1970-01-01T23:59:59.999Z') },
  { type: { name: 'time', scale: 7 }, text: '863999990000', value: new Date('1970-01-01T23:59:59.999Z') },
  {
    type: { name: 'datetime2', scale: 0 },
    text: '630822816000000000',
    value: new Date('2000-01-01T00:00:00Z'),
  },
  {
    type: { name: 'datetime2', scale: 7 },
    text: '3155378975999990000',
    value: new Date('9999-12-31T23:59:59.999Z'),
  },
  {
    type: { name: 'datetimeoffset', scale: 3 },
    // 2000-01-01 00:00 UTC, offset +840 minutes.
    text: '\\x08c1220247e440000690',
    value: new Date('2000-01-01T00:00:00Z'),
  },
  {
    type: { name: 'uniqueidentifier' },
    text: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
    value: '6F9619FF-8B86-D011-B42D-00C04FC964FF',
  },
  { type: { name: 'char', length: 5 }, text: 'ab', value: 'ab   ' },
  { type: { name: 'nchar', length: 4 }, text: 'é', value: 'é   ' },
  { type: { name: 'varchar', length: 50 }, text: 'café € ’', value: 'café € ’' },
  { type: { name: 'varchar', length: 50 }, text: '', value: '' },
  { type: { name: 'varchar', length: -1 }, text: 'max é', value: 'max é' },
  { type: { name: 'nvarchar', length: 50 }, text: '日本 😀', value: '日本 😀' },
  { type: { name: 'nvarchar', length: -1 }, text: '', value: '' },
  { type: { name: 'sysname' }, text: 'dbo', value: 'dbo' },
  { type: { name: 'text' }, text: 'old é', value: 'old é' },
  { type: { name: 'ntext' }, text: 'old 日本', value: 'old 日本' },
  { type: { name: 'xml' }, text: '<a b="1">t</a>', value: '<a b="1">t</a>' },
  { type: { name: 'binary', length: 4 }, text: '\\x0102', value: Buffer.from('01020000', 'hex') },
  { type: { name: 'varbinary', length: 50 }, text: '\\xdeadbeef', value: Buffer.from('deadbeef', 'hex') },
  { type: { name: 'varbinary', length: -1 }, text: '\\x00ff', value: Buffer.from('00ff', 'hex') },
  { type: { name: 'image' }, text: '\\xabcd', value: Buffer.from('abcd', 'hex') },
  {
    type: { name: 'rowversion' },
    text: '\\x00000000000007d1',
    value: Buffer.from('00000000000007d1', 'hex'),
  },
];
