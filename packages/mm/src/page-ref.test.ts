/** References to device pages, counted in the struct page, against a plain map. */
import fc from 'fast-check';
import { BugError, KernelError, type Pfn, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { DEVICE_PAGE_IDLE, createPageRefs } from './page-ref.js';
import { PAGE_REFCOUNT, WORDS_PER_PAGE } from './page.js';

const FRAMES = 8;

/** Idle struct pages of frames 0 to 7, and none behind them. */
function setUp() {
  const words = new Int32Array(FRAMES * WORDS_PER_PAGE);
  for (let frame = 0; frame < FRAMES; frame++) words[frame * WORDS_PER_PAGE + PAGE_REFCOUNT] = DEVICE_PAGE_IDLE;
  const pageWords = (frame: Pfn): Int32Array => {
    if (frame >= FRAMES) throw new KernelError('EFAULT', `pfn ${frame} has no struct page`);
    return words.subarray(frame * WORDS_PER_PAGE, (frame + 1) * WORDS_PER_PAGE);
  };
  const readPage = (frame: Pfn) => (frame < FRAMES ? { refcount: words[frame * WORDS_PER_PAGE + PAGE_REFCOUNT]! } : undefined);
  return { words, refs: createPageRefs({ pageWords, readPage } as unknown as Parameters<typeof createPageRefs>[0]) };
}

describe('references', () => {
  it('are what was taken less what was given back, and touch no other field and no other page', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(FRAMES - 1), fc.boolean()), { maxLength: 60 }), (steps) => {
      const { words, refs } = setUp();
      const held = new Array<number>(FRAMES).fill(0);
      for (const [frame, take] of steps) {
        if (take) refs.get(pfn(frame));
        else if (held[frame] === 0) expect(() => refs.put(pfn(frame))).toThrow(BugError);
        else refs.put(pfn(frame));
        if (take || held[frame]! > 0) held[frame]! += take ? 1 : -1;
      }
      expect(held.map((_, frame) => refs.count(pfn(frame)) - DEVICE_PAGE_IDLE)).toEqual(held);
      expect(words.reduce((sum, word) => sum + word, 0)).toBe(FRAMES * DEVICE_PAGE_IDLE + held.reduce((sum, n) => sum + n, 0));
    }));
  });

  it('cannot be had where there is no struct page', () => {
    const { refs } = setUp();
    expect(() => refs.get(pfn(FRAMES))).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    expect(refs.count(pfn(FRAMES))).toBe(0);
  });
});
