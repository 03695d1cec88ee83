import fc from 'fast-check';
import { moduleParams, parseCmdline, parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { errnoOf } from '../test/kernel.js';
import { PMEM_MAPPINGS, choosePmemMapping, formatPmemMapping, parsePmemMapping, pmemMappingParam } from './pmem-mapping.js';
import type { PmemMapping } from './pmem-mapping.js';

const LATEST = parseRelease('6.1');

describe('pmem.mapping', () => {
  it.each<[string, PmemMapping | undefined, [string, PmemMapping][]]>([
    ['wb', 'wb', []],
    ['pages\n', 'pages', []],
    ['pmem0:wt', undefined, [['pmem0', 'wt']]],
    ['pmem0:wt,pmem1:uc', undefined, [['pmem0', 'wt'], ['pmem1', 'uc']]],
    ['wc,pmem0.1:wb', 'wc', [['pmem0.1', 'wb']]],
    ['uc,wb,pmem0:wt,pmem0:uc', 'wb', [['pmem0', 'uc']]],
  ])('%j', (text, all, devices) => expect(parsePmemMapping(text)).toEqual({ all, devices: new Map(devices) }));

  it.each(['', 'WB', 'wp', 'pmem0', 'pmem0:', ':wb', 'wb,', 'pmem0:wb:uc:', 'wb;uc', 'pmem0=wb'])('refuses %j, with the words it knows', (text) => {
    expect(errnoOf(() => parsePmemMapping(text))).toBe('EINVAL');
    expect(() => parsePmemMapping(text)).toThrow('expected one of uc, wc, wt, wb, pages');
  });

  it('is read back as it was written, and any other text is EINVAL and nothing else', () => {
    const word = fc.constantFrom(...PMEM_MAPPINGS);
    const name = fc.stringMatching(/^pmem\d(\.\d)?$/);
    fc.assert(fc.property(fc.option(word, { nil: undefined }), fc.array(fc.tuple(name, word), { minLength: 1 }), (all, devices) => {
      const value = { all, devices: new Map(devices) };
      expect(parsePmemMapping(formatPmemMapping(value))).toEqual(value);
    }));
    fc.assert(fc.property(fc.string(), (text) => {
      expect(['ok', 'EINVAL']).toContain(errnoOf(() => parsePmemMapping(text)));
    }));
  });

  it('is a module parameter: a bad value is logged and left out, a written one is kept', () => {
    const log: string[] = [];
    const bad = moduleParams('pmem', { mapping: pmemMappingParam }, parseCmdline('pmem.mapping=wx'), (line) => log.push(line));
    expect(log).toEqual(["Booting kernel: `wx' invalid for parameter `pmem.mapping'"]);
    expect(bad.values.mapping.all).toBeUndefined();
    bad.attributes[0]!.store!('pmem0:uc\n');
    expect(bad.attributes[0]!.show!()).toBe('pmem0:uc\n');
  });
});

describe('the mapping of a device', () => {
  it.each<[string, string, boolean, PmemMapping]>([
    ['4.1 maps uncached, as its caches cannot be written back', '4.1', false, 'uc'],
    ['4.2 maps write-through', '4.2', true, 'wt'],
    ['4.3 maps write-back', '4.3', false, 'wb'],
    ['6.1 maps write-back', '6.1', false, 'wb'],
    ['6.1 gives struct pages to legacy ranges', '6.1', true, 'pages'],
  ])('as Linux: %s', (_name, release, shouldMapPages, want) => {
    expect(choosePmemMapping('pmem0', { release: parseRelease(release), shouldMapPages })).toBe(want);
  });

  it.each<[string, string | undefined, PmemMapping | undefined, PmemMapping]>([
    ['the device’s own word', 'wt,pmem0:uc', 'wc', 'uc'],
    ['the word for all', 'wt,pmem1:uc', 'wc', 'wt'],
    ['the configured default', 'pmem1:uc', 'wc', 'wc'],
    ['what Linux does', undefined, undefined, 'pages'],
  ])('is decided by %s, in that order', (_name, param, configured, want) => {
    const choice = { release: LATEST, shouldMapPages: true, ...(configured ? { config: { defaultMapping: configured } } : {}), ...(param ? { param: parsePmemMapping(param) } : {}) };
    expect(choosePmemMapping('pmem0', choice)).toBe(want);
  });
});
