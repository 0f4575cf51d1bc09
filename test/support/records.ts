/** What takes a response's bytes in the tests of how they come. Test process, main thread. */
import assert from 'node:assert/strict';
import type { InputWindow } from '../../src/tds/window.js';

/** Takes whole records of `recordBytes` out of the window, as the pump takes rows; the rest stays for the next time. */
export class Records {
  readonly taken: Buffer[] = [];
  calls = 0;
  waiting = false;

  constructor(
    readonly window: InputWindow,
    readonly recordBytes: number,
    readonly waits: number,
  ) {}

  push(chunk: Buffer): Promise<void> | undefined {
    const from = this.window.append(chunk, 0);
    const wait = this.work();
    if (from === chunk.length) return wait;
    return Promise.resolve(wait).then(() => this.push(chunk.subarray(from)));
  }

  readonly work = (): Promise<void> | undefined => {
    assert.equal(this.waiting, false, 'bytes came while those before were waited for');
    const { window } = this;
    while (window.available >= this.recordBytes || window.full) {
      const bytes = Math.min(this.recordBytes, window.available);
      this.taken.push(Buffer.from(window.bytes.subarray(window.position, window.position + bytes)));
      window.position += bytes;
    }
    this.calls++;
    if (this.calls % this.waits !== 0) return undefined;
    this.waiting = true;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.waiting = false;
        resolve();
      });
    });
  };

  all(): Buffer {
    const { window } = this;
    return Buffer.concat([...this.taken, window.bytes.subarray(window.position, window.fill)]);
  }
}
