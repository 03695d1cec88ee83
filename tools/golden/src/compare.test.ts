import { describe, expect, it } from 'vitest';
import { compareFacts } from './compare.js';

describe('compareFacts', () => {
  it.each([
    { name: 'counts each leaf', want: { a: 1, b: [1, 2] }, have: { a: 1, b: [1, 2] }, compared: 3, paths: [] },
    { name: 'an empty list is a fact', want: { a: [] }, have: { a: [1] }, compared: 2, paths: ['a', 'a[0]'] },
    { name: 'what is missing differs once', want: { blocks: [{ block: 1 }, { block: 2 }] }, have: { blocks: [{ block: 2 }] }, compared: 2, paths: ['blocks[1].block'] },
    { name: 'what is too much differs', want: {}, have: { x: { y: 1 } }, compared: 2, paths: ['', 'x.y'] },
    { name: 'types count', want: { a: '1' }, have: { a: 1 }, compared: 1, paths: ['a'] },
  ])('$name', ({ want, have, compared, paths }) => {
    const result = compareFacts(want, have);
    expect(result.compared).toBe(compared);
    expect(result.differences.map(({ path }) => path)).toEqual(paths);
  });

  it('leaves out with a reason, and says how much', () => {
    const result = compareFacts({ a: 1, b: 2 }, { a: 1, b: 3 }, (path) => (path === 'b' ? 'because' : undefined));
    expect(result).toMatchObject({ compared: 1, differences: [] });
    expect([...result.leftOut]).toEqual([['because', 1]]);
  });
});
