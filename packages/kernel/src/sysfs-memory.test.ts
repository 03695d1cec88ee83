import { describe, expect, it } from 'vitest';
import { formatList } from './sysfs-memory.js';

describe('formatList', () => {
  it.each([
    [[], ''],
    [[0], '0'],
    [[0, 1], '0-1'],
    [[0, 2, 3, 4, 7], '0,2-4,7'],
  ])('prints %j as the kernel prints a bitmap', (numbers, want) => expect(formatList(numbers)).toBe(want));
});
