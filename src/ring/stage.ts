/**
 * What is done to a slot between the reader, who filled it, and its writer: hashing. Runs on the thread that
 * `Hashing` names.
 */
import type { SlotKind } from './layout.js';

/** A filled slot on its way; reused from call to call. */
export interface PassingSlot {
  ring: number;
  kind: SlotKind;
  /** Byte offset of the slot's data in the lane. */
  offset: number;
  bytes: number;
  /** Rows whose last byte lies in the slot. */
  rows: number;
}

/** Sees every slot of a lane, each ring's in order. */
export interface SlotStage {
  /**
   * Works on the slot in place.
   * @returns whether its bytes are tuples that a writer sends on
   */
  pass(slot: PassingSlot): boolean;
  /** Rows hashed so far. */
  readonly rowsHashed: number;
}
