import { expect, it } from 'vitest';
import { chunkRun } from './chunk-run.js';

const MIB = 2 ** 20;
const held = (nr: number): boolean => [1, 2, 5].includes(nr);

it.each<[string, number, number, number]>([
  ['ends where the next kind begins', 0, 20 * MIB, -2 * MIB],
  ['begins inside a chunk', 3 * MIB, 20 * MIB, 3 * MIB],
  ['ends where the range does', 3 * MIB, 512, 512],
  ['goes over several chunks', 6 * MIB, 20 * MIB, -4 * MIB],
  ['goes on to the end', 12 * MIB, 2 ** 30, -(2 ** 30)],
])('a run %s', (_, start, length, run) => expect(chunkRun(start, length, held)).toBe(run));
