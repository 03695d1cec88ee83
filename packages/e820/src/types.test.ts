import { parseRelease } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { E820_TYPE_SOFT_RESERVED as SR, e820TypeFromName, e820TypeName } from './types.js';

describe('the name of a type in the log', () => {
  it.each([
    ['4.0', 12, 'type 12'], ['4.1', 12, 'persistent (type 12)'],
    ['4.1', 7, 'type 7'], ['4.2', 7, 'persistent (type 7)'],
    ['5.4', SR, 'type 4026531839'], ['5.5', SR, 'soft reserved'],
    ['6.1', 128, 'usable'], ['6.1', 20, 'type 20'],
  ])('in %s of %i is %s', (release, type, name) => expect(e820TypeName(type, parseRelease(release))).toBe(name));

  it('reads back as the type, but for memory that only the kernel reserves', () => {
    const release = fc.constantFrom('3.6', '4.1', '4.4', '6.1').map(parseRelease);
    fc.assert(fc.property(fc.oneof(fc.nat(20), fc.nat(0xffffffff), fc.constant(SR)), release, (type, each) => {
      expect(e820TypeFromName(e820TypeName(type, each))).toBe(type === 128 ? 1 : type);
    }));
  });

  it.each(['', 'Usable', 'type', 'type x', 'type -1', 'persistent', 'persistent (type 12', 'type 12)', 'type 99999999999'])('is not "%s"', (name) => {
    expect(e820TypeFromName(name)).toBeUndefined();
  });
});
