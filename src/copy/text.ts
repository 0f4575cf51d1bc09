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
export { TEXT_HAS_NUL, TEXT_LONE_SURROGATE } from './textKernel.js';
export { TextStream } from './textStream.js';
export {
  maxUtf8Bytes,
  padBlank,
  TEXT_INVALID,
  writeDoubleByte,
  writeSingleByte,
  writeUtf8,
  writeUtf16le,
} from './textWriters.js';
