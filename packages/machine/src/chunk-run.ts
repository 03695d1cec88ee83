/**
 * Runs of bytes that are alike, told by the chunks that hold them.
 */
import { CHUNK_SIZE } from './hardware.js';

/**
 * How many bytes from `start` on lie in chunks of one kind, at most `length`: positive where `mayHold` is true of each, negative where of
 * none. The grain is a chunk: one written byte makes all of it written.
 */
export function chunkRun(start: number, length: number, mayHold: (nr: number) => boolean): number {
  const end = start + length;
  let nr = Math.floor(start / CHUNK_SIZE);
  const held = mayHold(nr);
  while (++nr * CHUNK_SIZE < end && mayHold(nr) === held);
  const run = Math.min(nr * CHUNK_SIZE, end) - start;
  return held ? run : -run;
}
