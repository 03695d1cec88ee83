import { parseRelease } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { setupPciGap } from './pci-gap.js';
import type { E820Entry } from './entry.js';
import { createE820Table } from './table.js';

const e = (start: number, end: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end - start), type: 2 });

function gapOf(entries: readonly E820Entry[], release = '6.1', maxPfn = 0x1c0000) {
  const lines: string[] = [];
  const gap = setupPciGap(createE820Table(entries), maxPfn, { printk: (line) => void lines.push(line), release: parseRelease(release) });
  return { gap, lines };
}

const GIB = 2 ** 30;

describe('setupPciGap', () => {
  it('finds the biggest gap below 4 GiB, memory above it or not', () => {
    const { gap, lines } = gapOf([e(0, GIB), e(2 * GIB, 3 * GIB), e(3.5 * GIB, 3.875 * GIB), e(4 * GIB, 9 * GIB)]);
    expect(gap).toEqual({ start: GIB, size: GIB });
    expect(lines).toEqual(['[mem 0x40000000-0x7fffffff] available for PCI devices']);
  });

  it('prefers the lower of two equal gaps', () => {
    expect(gapOf([e(0, GIB), e(2 * GIB, 3 * GIB)]).gap.start).toBe(GIB);
  });

  it('goes behind RAM where all is taken', () => {
    const { gap, lines } = gapOf([e(0, 4 * GIB - 0x100000)]);
    expect(gap).toEqual({ start: 0x1c0100000, size: 0x400000 });
    expect(lines).toEqual([
      'Cannot find an available gap in the 32-bit address range',
      'PCI devices with unassigned 32-bit BARs may not work!',
      '[mem 0x1c0100000-0x1c04fffff] available for PCI devices',
    ]);
  });

  it('speaks as its release did', () => {
    expect(gapOf([e(0, 4 * GIB)], '4.4').lines).toEqual([
      'e820: cannot find a gap in the 32bit address range',
      'e820: PCI devices with unassigned 32bit BARs may break!',
      'e820: [mem 0x1c0100000-0x1c04fffff] available for PCI devices',
    ]);
    expect(gapOf([e(0, 4 * GIB)], '4.17').lines[0]).toBe('e820: Cannot find an available gap in the 32-bit address range');
  });
});
