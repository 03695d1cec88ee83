import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SlotTable } from './slot-table.js';

it('is a map from chunk numbers, whatever is set, deleted and cleared', () => {
  const nr = fc.oneof(fc.nat(2000), fc.nat(2 ** 31 - 1), fc.constantFrom(511, 512, 1023, 2 ** 31 - 1));
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ op: fc.constant('set' as const), nr, last: nr }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), nr, last: nr }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const), nr, last: nr }) },
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const table = new SlotTable<number>();
      const model = new Map<number, number>();
      steps.forEach(({ op, nr, last }, i) => {
        if (op === 'set') {
          table.set(nr, i);
          model.set(nr, i);
        } else if (op === 'delete') {
          table.delete(nr, last);
          for (const key of [...model.keys()]) if (nr <= key && key <= last) model.delete(key);
        } else {
          table.clear();
          model.clear();
        }
        for (const { nr: asked } of steps) expect(table.get(asked)).toBe(model.get(asked));
      });
    }),
  );
});
