/** Virtual time of a boot: it moves with the machine's size, by the cost table, and is the same each time. */
import { MIB } from '@holdfast/lib';
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { type BootOutcome, boot } from '../src/index.js';
import { GIB, e820Text } from './fixture.js';
import { bootPmem } from './pmem-rig.js';

const TIB = 2 ** 40;
/** The kernel stores struct pages at 64 bytes a nanosecond, a cache line at a time, to DRAM, which takes 80. */
const memmapNs = (ramBytes: number): number => ramBytes / 64 / 64;

function bootWithRam(ramBytes: number): { outcome: BootOutcome; ns: number } {
  const machine = createMachine({ physBits: 52, media: [{ start: 0, medium: createDram(GIB) }, { start: 4 * GIB, medium: createDram(ramBytes - GIB) }] });
  const e820 = e820Text([
    { start: 0, end: 0x9fc00, type: 'usable' },
    { start: 0x100000, end: GIB, type: 'usable' },
    { start: 4 * GIB, end: 3 * GIB + ramBytes, type: 'usable' },
  ]);
  return { outcome: boot({ machine, firmware: { e820 }, cmdline: '' }), ns: machine.clock.now };
}

describe('a boot', () => {
  it.each([2 * GIB, 64 * GIB, 16 * TIB])('of %d bytes of RAM stores their struct pages', (ramBytes) => {
    const { ns, outcome } = bootWithRam(ramBytes);
    expect(ns / memmapNs(ramBytes)).toBeCloseTo(1, 1);
    const stamps = outcome.log.lines.map((line) => line.ns);
    expect(stamps).toEqual([...stamps].sort((a, b) => a - b));
  });

  it('leaves most of them to the time after the page allocator has started', () => {
    const { outcome } = bootWithRam(64 * GIB);
    const memory = outcome.log.lines.find(({ text }) => text.startsWith('Memory: '))!;
    expect(memory.ns).toBeGreaterThan(memmapNs(128 * MIB));
    expect(memory.ns).toBeLessThan(memmapNs(4 * GIB));
  });

  it('has the same log each time, to the nanosecond', () => {
    const [one, two] = [bootWithRam(64 * GIB), bootWithRam(64 * GIB)];
    expect(one.outcome.log.lines).toEqual(two.outcome.log.lines);
  });
});

describe('memory that is added later', () => {
  it('has its struct pages stored where they lie: those of a partition on the device, which wears by them', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', pmem: createNvdimm({ sizeBytes: 4 * GIB }), sizeBytes: 4 * GIB });
    const attach = (ramBytes: string): { ns: number; lines: number } => {
      rig.unbind();
      rig.param('ram_bytes', ramBytes);
      rig.param('pages', 'device');
      const [from, lines] = [rig.machine.clock.now, rig.pmem.wear.linesWritten];
      rig.bind();
      return { ns: rig.machine.clock.now - from, lines: rig.pmem.wear.linesWritten - lines };
    };
    // All of the device has struct pages on the device, whatever the partition's size; and a header of 16 lines.
    for (const ramBytes of ['1G', '2G']) {
      const { ns, lines } = attach(ramBytes);
      expect(lines).toBe((4 * GIB) / 64 / 256 + 16);
      expect(ns / ((4 * GIB) / 64 / 2.3)).toBeCloseTo(1, 1);
    }
  });

  it('and those of the rest of a hot-plugged device from wherever the page allocator finds room', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 64 * GIB });
    rig.unbind();
    rig.param('pages', 'hotplug');
    const lines = rig.pmem.wear.linesWritten;
    rig.bind();
    const [own, rest] = [GIB / 64, (63 * GIB) / 64];
    const worn = (rig.pmem.wear.linesWritten - lines) * 256;
    expect(worn).toBeGreaterThanOrEqual(own);
    expect(worn).toBeLessThanOrEqual(own + rest + 4096);
  });
});
