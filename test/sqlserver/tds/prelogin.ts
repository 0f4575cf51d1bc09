/**
 * PRELOGIN of [MS-TDS]: what the client offers, what this server answers, and whether TLS follows. Runs on the
 * server's thread.
 */
import { SERVER_VERSION } from './tokens.js';
import { ProtocolViolation } from './wire.js';

/** `off`: the server has no TLS; `on`: TLS if the client asks for it; `required`: no client without it. */
export type EncryptionMode = 'off' | 'on' | 'required';

const OPTION = { version: 0, encryption: 1, instance: 2, threadId: 3, mars: 4, end: 0xff } as const;
const ENCRYPT = { off: 0, on: 1, notSupported: 2, required: 3 } as const;

/** What TLS covers after PRELOGIN; `refused`: the two sides' demands do not meet, and the connection closes. */
export type TlsScope = 'none' | 'login' | 'all' | 'refused';

export interface PreloginAnswer {
  payload: Buffer;
  tls: TlsScope;
}

/** @returns the answer to a client's PRELOGIN payload. `insideTls`: TDS 8 strict encryption is already on. */
export function answerPrelogin(request: Buffer, mode: EncryptionMode, insideTls: boolean): PreloginAnswer {
  const wish = readEncryption(request);
  const [encryption, tls] = insideTls ? ([ENCRYPT.notSupported, 'none'] as const) : negotiate(wish, mode);
  const version = Buffer.alloc(6);
  version[0] = SERVER_VERSION.major;
  version[1] = SERVER_VERSION.minor;
  version.writeUInt16BE(SERVER_VERSION.build, 2);
  return {
    payload: options([
      [OPTION.version, version],
      [OPTION.encryption, Buffer.from([encryption])],
      [OPTION.instance, Buffer.from([0])],
      [OPTION.threadId, Buffer.alloc(0)],
      // MARS is not offered.
      [OPTION.mars, Buffer.from([0])],
    ]),
    tls,
  };
}

function negotiate(wish: number, mode: EncryptionMode): readonly [answer: number, tls: TlsScope] {
  const insists = wish === ENCRYPT.on || wish === ENCRYPT.required;
  switch (mode) {
    case 'off':
      return [ENCRYPT.notSupported, insists ? 'refused' : 'none'];
    case 'on':
      if (insists) return [ENCRYPT.on, 'all'];
      return wish === ENCRYPT.off ? [ENCRYPT.off, 'login'] : [ENCRYPT.notSupported, 'none'];
    case 'required':
      if (insists) return [ENCRYPT.on, 'all'];
      return [ENCRYPT.required, wish === ENCRYPT.off ? 'all' : 'refused'];
  }
}

function readEncryption(payload: Buffer): number {
  for (let at = 0; at < payload.length && payload[at] !== OPTION.end; at += 5) {
    if (at + 5 > payload.length) break;
    if (payload[at] !== OPTION.encryption) continue;
    const offset = payload.readUInt16BE(at + 1);
    const value = payload[offset];
    if (value === undefined) throw new ProtocolViolation('PRELOGIN option outside the message');
    // The upper bits ask for client certificates, which this server does not use.
    return value & 0x03;
  }
  return ENCRYPT.notSupported;
}

function options(list: readonly (readonly [number, Buffer])[]): Buffer {
  let offset = list.length * 5 + 1;
  const head = Buffer.alloc(offset);
  list.forEach(([token, data], index) => {
    head[index * 5] = token;
    head.writeUInt16BE(offset, index * 5 + 1);
    head.writeUInt16BE(data.length, index * 5 + 3);
    offset += data.length;
  });
  head[head.length - 1] = OPTION.end;
  return Buffer.concat([head, ...list.map(([, data]) => data)]);
}
