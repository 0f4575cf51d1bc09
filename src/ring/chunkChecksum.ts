/**
 * The running checksum of a ring's open chunk: what its writer finds beside each slot of tuples.
 * Runs on the thread that hands slots to the writers.
 */
import { crc32 } from './checksum.js';
import { checksumOffset, type LaneLayout, laneBuffer, laneWords, SLOT_KIND, SLOT_WORD } from './layout.js';
import type { PassingSlot } from './stage.js';

export class ChunkChecksum {
  readonly #memory: Buffer;
  readonly #words: Int32Array;
  readonly #area: number;
  #sum = 0;

  constructor(layout: LaneLayout) {
    this.#memory = laneBuffer(layout);
    this.#words = laneWords(layout);
    this.#area = checksumOffset(layout);
  }

  /**
   * Notes the checksum of this slot's tuples and of those before it in its chunk. Wants every slot of the ring, in order.
   * @param header first word of the slot's header
   * @param sent whether the slot's bytes are tuples that a writer sends on
   */
  pass({ kind, offset, bytes }: PassingSlot, header: number, sent: boolean): void {
    if (kind === SLOT_KIND.BEGIN) this.#sum = 0;
    if (kind !== SLOT_KIND.DATA || !sent) return;
    this.#sum = crc32(this.#memory, offset, bytes, this.#area, this.#sum);
    this.#words[header + SLOT_WORD.CHECKSUM] = this.#sum;
  }
}
