/** A word for all disks, for one, or both. */
import fc from 'fast-check';
import { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { deviceValue, formatDeviceParam, parseDeviceParam } from './device-param.js';
import { pmemPagesParams } from './pmem-pages.js';

const WORDS = ['wb', 'wt', 'uc'];

function parseWord(word: string): string {
  if (!WORDS.includes(word)) throw new KernelError('EINVAL', `'${word}': expected one of ${WORDS.join(', ')}`);
  return word;
}

describe('a device parameter', () => {
  it.each([
    ['wb', 'wb', 'wb'],
    ['pmem0:wt', 'wt', undefined],
    ['wb,pmem0:uc', 'uc', 'wb'],
    ['pmem0:uc,wb', 'uc', 'wb'],
    ['pmem0:uc,pmem0:wt', 'wt', undefined],
    [' wb\n', 'wb', 'wb'],
    ['pmem0:wt,pmem1:uc', 'wt', 'uc'],
  ])('%j says %s of pmem0 and %s of pmem1', (text, pmem0, pmem1) => {
    const param = parseDeviceParam(text, parseWord);
    expect([deviceValue(param, 'pmem0'), deviceValue(param, 'pmem1')]).toEqual([pmem0, pmem1]);
  });

  it.each(['', ',', 'wb,', ':wb', 'pmem0:', 'pmem0', 'pmem0=wb', 'wb;uc', 'WB'])('%j is refused, with the word that is none', (text) => {
    expect(() => parseDeviceParam(text, parseWord)).toThrow(expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining('expected one of') as string }));
  });

  it('is written as it is read', () => {
    const param = fc.record({ all: fc.option(fc.constantFrom(...WORDS), { nil: undefined }), devices: fc.dictionary(fc.stringMatching(/^pmem[0-9]{1,3}$/), fc.constantFrom(...WORDS), { minKeys: 1 }) });
    fc.assert(fc.property(param, ({ all, devices }) => {
      const value = { all, devices: new Map(Object.entries(devices)) };
      expect(parseDeviceParam(formatDeviceParam(value), parseWord)).toEqual(value);
    }));
  });

  it('without a value leaves it to others', () => {
    expect(deviceValue(undefined, 'pmem0')).toBeUndefined();
  });
});

describe('the parameters of struct pages', () => {
  it.each([
    ['pages', 'nowhere', "pmem.pages 'nowhere': expected one of none, "],
    ['page_area', 'force', "pmem.page_area 'force': expected one of check, rebuild, overwrite"],
    ['ram_bytes', '4097', "pmem.ram_bytes '4097': expected a multiple of 4096"],
    ['ram_bytes', '0', "pmem.ram_bytes '0': expected a multiple of 4096"],
  ] as const)('%s=%s is refused', (name, text, message) => {
    expect(() => pmemPagesParams[name].parse(text)).toThrow(expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(message) as string }));
  });
});
