/**
 * PostgreSQL's binary COPY stream cut into its tuples, for the replay source and for *PostgreSQL alone*. Any thread.
 */

const HEADER_BYTES = 19;

/** @returns the stream's header and each tuple's bytes, the trailer left out. */
export function splitTuples(stream: Buffer): { header: Buffer; tuples: Buffer[] } {
  const tuples: Buffer[] = [];
  const first = HEADER_BYTES + stream.readUInt32BE(15);
  for (let at = first; ; ) {
    const fields = stream.readInt16BE(at);
    if (fields === -1) return { header: stream.subarray(0, first), tuples };
    let end = at + 2;
    for (let field = 0; field < fields; field++) end += 4 + Math.max(0, stream.readInt32BE(end));
    tuples.push(stream.subarray(at, end));
    at = end;
  }
}
