/**
 * Everything about text: the hot writers, the policy for U+0000 and the words for faults, and the streaming form.
 */
export {
  applyNul,
  convertText,
  convertWithNul,
  decodeText,
  findTextFault,
  type NulPolicy,
} from './textFaults.js';
export { TextStream } from './textStream.js';
export {
  maxUtf8Bytes,
  padBlank,
  TEXT_HAS_NUL,
  TEXT_INVALID,
  TEXT_LONE_SURROGATE,
  writeDoubleByte,
  writeSingleByte,
  writeUtf8,
  writeUtf16le,
} from './textWriters.js';
