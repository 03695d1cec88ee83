import { describe, expect, it } from 'vitest';
import { createIda } from './ida.js';

describe('createIda', () => {
  it('hands out the lowest free id, holes first', () => {
    const ida = createIda();
    expect([ida.alloc(), ida.alloc(), ida.alloc()]).toEqual([0, 1, 2]);
    ida.free(1);
    ida.free(7);
    expect([ida.alloc(), ida.alloc()]).toEqual([1, 3]);
  });
});
