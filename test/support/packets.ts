/** Messages as packets, and their contents. Test process, main thread. [MS-TDS] Packet Header. */
import type { PassThrough } from 'node:stream';

/** One message as packets of at most `packetBytes` of contents. @param empty behind each comes one that has none */
export function packetsOf(contents: Buffer, packetBytes: number, empty = false): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at === 0 || at < contents.length; at += packetBytes) {
    pieces.push(contents.subarray(at, at + packetBytes));
    if (empty) pieces.push(Buffer.alloc(0));
  }
  return Buffer.concat(
    pieces.flatMap((piece, i) => {
      const header = Buffer.from([4, i === pieces.length - 1 ? 1 : 0, 0, 0, 0, 0, 1, 0]);
      header.writeUInt16BE(piece.length + 8, 2);
      return [header, piece];
    }),
  );
}

export function bytesOf(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff));
}

export async function textOf(message: PassThrough): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
