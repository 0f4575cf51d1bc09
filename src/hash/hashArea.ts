/**
 * Where the hasher's kernels find and leave things: an area of a lane's memory that belongs to the thread that
 * hashes. That thread.
 *
 * ```
 * constants of MD5 | blocks turned round | lanes | digests | sums | result | groups of fields | queue | staging
 * ```
 *
 * `collectKernel.ts` puts the messages of many rows together in the staging part and lists them in the queue;
 * `md5Kernel.ts` hashes the queue.
 */

/** Messages hashed side by side: two vectors of four. */
export const LANES = 8;

/** Messages collected before they are hashed: as much as the first-level cache holds of short ones. */
export const QUEUE_MESSAGES = 256;

/** A queue's entry: address of the padded message, its blocks of 64 bytes, address for the 32 digits. */
export const ENTRY_BYTES = 12;

/** Longest message the kernels take: a longer one would leave too many lanes idle behind it. */
export const LONGEST_MESSAGE_BYTES = 16 * 1024;

/** Most groups of fields: how many are skipped, how many hashed, and the scale of a numeric or `NO_NUMERIC`; 32 bits each. */
export const MAX_GROUPS = 512;
export const GROUP_BYTES = 12;
export const NO_NUMERIC = -1;

/** Padding reaches up to 80 bytes, copying in strides of 64 as far, beyond the message. */
export const SLACK_BYTES = 160;

const STAGING_BYTES = 256 * 1024;

/** Byte offsets in the area. */
export const AREA = {
  CONSTANTS: 0,
  BLOCKS: 256,
  /** Per lane: address of its next block, blocks left, address for its digits. */
  AT: 768,
  LEFT: 800,
  OUT: 832,
  DIGESTS: 864,
  /** Two sums of 64 bits: first words, second words. */
  SUMS: 992,
  /** Addresses after the queue's last entry, and after the last group. */
  QUEUE_END: 1008,
  GROUPS_END: 1012,
  GROUPS: 1024,
  QUEUE: 1024 + GROUP_BYTES * MAX_GROUPS,
  STAGING: 1024 + GROUP_BYTES * MAX_GROUPS + ENTRY_BYTES * QUEUE_MESSAGES,
  STAGING_END: 1024 + GROUP_BYTES * MAX_GROUPS + ENTRY_BYTES * QUEUE_MESSAGES + STAGING_BYTES,
} as const;
