/**
 * Whatever a user or a firmware says: a boot ends in a kernel, in a panic with Linux's text, or in an error that names the input.
 */
import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFile } from '../src/index.js';
import { PC, PMEM, type Range, bootPc, e820Text } from './fixture.js';

const anySize = fc.constantFrom('0', '1', '4K', '640K', '1M', '3M', '16M', '100M', '128M', '1G', '2G', '5G', '16E', '0x10000800', '1T', 'x', '');
const anyType = fc.constantFrom('1', '2', '3', '7', '12', '0xefffffff', '99', '');
const anyMemmap = fc.oneof(
  fc.tuple(anySize, fc.constantFrom('@', '#', '$', '!', ''), anySize).map(([size, kind, at]) => `${size}${kind}${at}`),
  fc.tuple(anySize, anySize, anyType, anyType).map(([size, at, from, to]) => `${size}%${at}-${from}+${to}`),
  fc.constant('exactmap'),
  fc.string({ maxLength: 12 }).map((text) => text.replace(/["\s]/g, '_')),
);
const anyParam = fc.oneof(
  { weight: 4, arbitrary: fc.array(anyMemmap, { minLength: 1, maxLength: 3 }).map((pieces) => `memmap=${pieces.join(',')}`) },
  anySize.map((size) => `mem=${size}`),
  anySize.map((size) => `movablecore=${size}`),
  fc.constantFrom('kernelcore=50%', 'kernelcore=mirror', 'movable_node', 'numa=off', 'numa=fake=3', 'numa=fake=512M', 'numa=fake=0', 'crashkernel=64M', 'crashkernel=x'),
  fc.constantFrom('pmem.mapping=uc', 'pmem.mapping=pmem0:pages,wt', 'pmem.mapping=?', 'memhp_default_state=?', 'memory_hotplug.online_policy=?'),
  fc.string({ maxLength: 20 }),
);

describe('a boot', () => {
  it('survives any command line: a kernel, or a panic that says why', () => {
    fc.assert(
      fc.property(fc.array(anyParam, { maxLength: 4 }), (params) => {
        const { kernel, panic, log } = bootPc({ cmdline: params.join(' ') });
        if (kernel) expect(String(readFile(kernel.root, '/proc/zoneinfo'))).toContain('Node 0, zone');
        else expect(log.lines.at(-1)?.text).toContain(panic);
      }),
      { numRuns: 150 },
    );
  });

  const anyRange = fc
    .tuple(fc.constantFrom(...PC.flatMap(({ start, end }) => [start, end]), 0x1234, 7 * 2 ** 30 + 512), fc.constantFrom(0x800, 0x1000, 0x300000, 2 ** 27, 3 * 2 ** 30), fc.constantFrom('usable', 'reserved', 'ACPI data', 'persistent (type 12)', 'persistent (type 7)', 'soft reserved', 'type 20'))
    .map(([start, size, type]): Range => ({ start, end: start + size, type }));

  it('survives any map', () => {
    fc.assert(
      fc.property(fc.array(anyRange, { minLength: 1, maxLength: 6 }), fc.boolean(), (ranges, beside) => {
        const { kernel, panic } = bootPc({ firmware: { e820: e820Text(beside ? [...PC, PMEM, ...ranges] : ranges) } });
        expect(kernel !== undefined || panic !== undefined).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses firmware that cannot be read by an error that names it, and nothing else', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 80 }), (text, table) => {
        try {
          bootPc({ firmware: { e820: `${e820Text(PC)}\n${text}`, srat: table } });
        } catch (error) {
          expect(error).toBeInstanceOf(KernelError);
          expect((error as Error).message).toMatch(/SRAT|line \d+/);
        }
      }),
      { numRuns: 60 },
    );
  });
});
