/**
 * The small tokens of a response, as [MS-TDS] lays them out: ENVCHANGE, ERROR, INFO, LOGINACK, FEATUREEXTACK,
 * RETURNSTATUS, RETURNVALUE and the DONE family. Runs on the server's thread.
 */
import type { ServerMessage } from '../contract.js';
import type { PacketWriter } from './packets.js';
import { ENV, TOKEN, TYPE } from './wire.js';

const SERVER_NAME = 'STANDIN';
/** SQL Server 2022's major, minor and build. */
export const SERVER_VERSION = { major: 16, minor: 0, build: 1000 } as const;

/** Writes a token whose two-byte length counts what `body` writes. */
function sized(out: PacketWriter, token: number, body: () => void): void {
  out.u8(token);
  const at = out.position;
  out.u16(0);
  body();
  out.buffer.writeUInt16LE(out.position - at - 2, at);
}

export function writeEnvText(out: PacketWriter, type: number, now: string, before: string): void {
  sized(out, TOKEN.envChange, () => {
    out.u8(type);
    out.bVarChar(now);
    out.bVarChar(before);
  });
}

export function writeEnvBytes(out: PacketWriter, type: number, now: Buffer, before: Buffer): void {
  sized(out, TOKEN.envChange, () => {
    out.u8(type);
    out.u8(now.length);
    out.bytes(now);
    out.u8(before.length);
    out.bytes(before);
  });
}

/** Sends the client on to another server. */
export function writeRouting(out: PacketWriter, { host, port }: { host: string; port: number }): void {
  sized(out, TOKEN.envChange, () => {
    out.u8(ENV.routing);
    out.u16(5 + 2 * host.length);
    out.u8(0); // TCP
    out.u16(port);
    out.usVarChar(host);
    out.u16(0);
  });
}

/** Acknowledges RESETCONNECTION. */
export function writeResetAck(out: PacketWriter): void {
  writeEnvBytes(out, ENV.resetAck, Buffer.alloc(0), Buffer.alloc(0));
}

/** ERROR for class 11 and over, INFO below, as SQL Server sorts messages. */
export function writeMessage(out: PacketWriter, info: ServerMessage): void {
  sized(out, info.class > 10 ? TOKEN.error : TOKEN.info, () => {
    out.i32(info.number);
    out.u8(info.state);
    out.u8(info.class);
    // The token's length is two bytes: a longer message is cut, as SQL Server cuts at 2048 characters.
    out.usVarChar(info.message.slice(0, 2048));
    out.bVarChar(SERVER_NAME);
    out.bVarChar(info.procName ?? '');
    out.u32(info.lineNumber ?? 1);
  });
}

export function writeLoginAck(out: PacketWriter, tdsVersion: number): void {
  sized(out, TOKEN.loginAck, () => {
    out.u8(1);
    out.ensure(4);
    out.position = out.buffer.writeUInt32BE(tdsVersion, out.position);
    out.bVarChar('Microsoft SQL Server');
    out.u8(SERVER_VERSION.major);
    out.u8(SERVER_VERSION.minor);
    out.u8(SERVER_VERSION.build >> 8);
    out.u8(SERVER_VERSION.build & 0xff);
  });
}

/** Acknowledges the UTF8_SUPPORT feature, the only one this server has. */
export function writeUtf8FeatureAck(out: PacketWriter): void {
  out.u8(TOKEN.featureExtAck);
  out.u8(0x0a);
  out.u32(1);
  out.u8(1);
  out.u8(0xff);
}

export function writeReturnStatus(out: PacketWriter, status: number): void {
  out.u8(TOKEN.returnStatus);
  out.i32(status);
}

/** RETURNVALUE of an int output parameter (the handle of sp_prepare and sp_prepexec). */
export function writeReturnInt(out: PacketWriter, ordinal: number, name: string, value: number): void {
  out.u8(TOKEN.returnValue);
  out.u16(ordinal);
  out.bVarChar(name);
  out.u8(0x01);
  out.u32(0);
  out.u16(0);
  out.u8(TYPE.intN);
  out.u8(4);
  out.u8(4);
  out.i32(value);
}

/** DONE, DONEPROC or DONEINPROC. */
export function writeDone(
  out: PacketWriter,
  token: number,
  status: number,
  rowCount: number,
  command: number,
): void {
  out.u8(token);
  out.u16(status);
  out.u16(command);
  out.u64(BigInt(rowCount));
}
