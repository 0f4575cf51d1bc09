/** The plain interpreter alone over a whole response: the generated code's oracle. Test process, main thread. */
import assert from 'node:assert/strict';
import type { NulPolicy } from '../../src/copy/text.js';
import type { TablePlan } from '../../src/plan/model.js';
import { rowLayout } from '../../src/read/layout.js';
import { RowStream } from '../../src/read/rowStream.js';
import { readToken } from '../../src/tds/tokenReader.js';
import { InputWindow } from '../../src/tds/window.js';

/** @returns the tuples of every row, read through a window of `windowBytes` into a room of `roomBytes`. */
export function interpret(
  plan: TablePlan,
  payload: Buffer,
  { windowBytes = 16_384, roomBytes = 999, nul = 'error' as NulPolicy } = {},
): Buffer {
  const window = new InputWindow(windowBytes);
  const room = { bytes: Buffer.alloc(roomBytes), position: 0, end: roomBytes };
  const parts: Buffer[] = [];
  let from = 0;
  const more = (): void => {
    assert.ok(from < payload.length, 'the response ended early');
    from = window.append(payload, from);
  };
  const take = (): void => {
    parts.push(Buffer.from(room.bytes.subarray(0, room.position)));
    room.position = 0;
  };
  let stream: RowStream | null = null;
  while (window.available > 0 || from < payload.length) {
    if (window.available === 0) more();
    const type = window.bytes[window.position];
    if (stream !== null && (type === 0xd1 || type === 0xd2)) {
      const row = stream.row();
      for (let step = row.next(); !step.done; step = row.next()) {
        if (step.value === 'input') more();
        else take();
      }
      continue;
    }
    const token = readToken(window.bytes, window.position, window.fill);
    if (token === null) {
      more();
      continue;
    }
    window.position = token.end;
    if (token.kind === 'columns') stream = new RowStream(rowLayout(plan, token.columns, nul), window, room);
  }
  take();
  return Buffer.concat(parts);
}
