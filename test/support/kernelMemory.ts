/** Memory that the kernels in WebAssembly work on, as a lane's is. Any process of tests and benchmark. */
import { adopt, allocateShared } from '../../src/wasm/memory.js';

/** @returns at least so many bytes, all zero */
export function kernelBuffer(bytes: number): Buffer<SharedArrayBuffer> {
  const memory = allocateShared(bytes);
  adopt(memory);
  return Buffer.from(memory.buffer);
}
