import fc from 'fast-check';
import { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { LOG_INDICES_NEW, findLogIndices, freshLog, newestEntry, olderOf } from './btt-log.js';

/** A flog of groups, each four sequence numbers; 0 is padding. */
function flog(...groups: number[][]): Uint8Array {
  const log = new Uint8Array(groups.length * 64);
  const view = new DataView(log.buffer);
  groups.forEach((seqs, group) => seqs.forEach((seq, slot) => view.setUint32(group * 64 + slot * 16 + 12, seq, true)));
  return log;
}

describe('olderOf', () => {
  it.each([
    [1, 0, 1], [0, 0, 0], [0, 3, 0],
    [1, 2, 0], [2, 3, 0], [3, 1, 0],
    [2, 1, 1], [3, 2, 1], [1, 3, 1],
    [1, 1, undefined], [2, 2, undefined], [3, 3, undefined], [3, 4, undefined],
    [2 ** 32 - 1, 2, 0], // the sum wraps, as in Linux
  ])('of %i and %i is slot %s', (first, second, want) => expect(olderOf(first, second)).toBe(want));
});

describe('findLogIndices', () => {
  it.each<{ name: string; log: Uint8Array; want: readonly [number, number] | string }>([
    { name: 'fresh', log: freshLog(256, 1000), want: [0, 1] },
    { name: 'new scheme', log: flog([1, 0, 0, 0], [1, 2, 0, 0], [3, 2, 0, 0]), want: [0, 1] },
    { name: 'old scheme', log: flog([1, 0, 0, 0], [1, 0, 2, 0], [1, 0, 0, 0]), want: [0, 2] },
    { name: 'nothing at all', log: flog([0, 0, 0, 0]), want: 'unknown scheme' },
    { name: 'a lane of padding among single entries', log: flog([1, 0, 0, 0], [0, 0, 0, 0]), want: [0, 1] },
    { name: 'slots 0 and 3', log: flog([1, 0, 0, 2]), want: 'unknown scheme' },
    { name: 'slots 1 and 2', log: flog([0, 1, 2, 0]), want: 'unknown scheme' },
    { name: 'single entries in slot 1', log: flog([0, 1, 0, 0]), want: 'unknown scheme' },
    { name: 'three entries', log: flog([1, 2, 3, 0]), want: 'inconsistent' },
    { name: 'both schemes', log: flog([1, 2, 0, 0], [1, 0, 2, 0]), want: 'inconsistent' },
    { name: 'first slot empty once decided', log: flog([1, 2, 0, 0], [0, 0, 0, 0]), want: 'inconsistent' },
  ])('$name', ({ log, want }) => expect(findLogIndices(log)).toEqual(want));

  it('is the state machine of the kernel, for any flog', () => {
    const group = fc.array(fc.constantFrom(0, 0, 1, 2), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 5 }), (groups) => {
        const got = findLogIndices(flog(...groups));
        expect(typeof got === 'string' ? undefined : got).toEqual(modelIndices(groups));
      }),
      { numRuns: 3000 },
    );
  });
});

/** Slot by slot, with the flags that log_set_indices keeps; undefined for any refusal. */
function modelIndices(groups: readonly number[][]): [number, number] | undefined {
  const index = [-1, -1];
  let [next, initial] = [0, true];
  for (const group of groups) {
    let padding = 0;
    for (const [slot, seq] of group.entries()) {
      if (next < 2) {
        if (seq === 0) padding++;
        else if (!(next === 1 && slot === index[0])) index[next++] = slot;
      } else if (slot === index[0]) {
        if (seq === 0) return undefined;
      } else if (slot !== index[1] && seq !== 0) return undefined;
    }
    // Linux overlooks a last group with slot 3 alone, and goes on with slots 0 and 1.
    if (padding < 3 || next === 2) initial = false;
  }
  if (!initial && next < 2) return undefined;
  if (initial) index[1] = 1;
  return index[0] === 0 && (index[1] === 1 || index[1] === 2) ? [0, index[1]] : undefined;
}

describe('newestEntry', () => {
  it('of a fresh flog is the lane and its free block', () => {
    expect(newestEntry(freshLog(256, 1000), 7, LOG_INDICES_NEW)).toEqual({ entry: { lba: 7, oldMap: 1007, newMap: 1007, seq: 1 }, sub: 0 });
  });

  it.each([
    { seqs: [2, 2, 0, 0], text: 'log corruption (-22): lane 0 seq [2, 2]' },
    { seqs: [0, 0, 0, 0], text: 'log corruption (-22): lane 0 seq [0, 0]' },
    { seqs: [2 ** 32 - 1, 2 ** 32 - 1, 0, 0], text: 'log corruption (-22): lane 0 seq [-1, -1]' },
  ])('refuses $seqs', ({ seqs, text }) => {
    expect(() => newestEntry(flog(seqs), 0, LOG_INDICES_NEW)).toThrow(new KernelError('EIO', text));
  });
});
