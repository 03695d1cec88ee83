/**
 * One device through many designs: data stay, and nothing of a design stays behind. And storage and memory on one device at once.
 */
import { MIB, pfn, seededRandom } from '@holdfast/lib';
import { createNvdimm } from '@holdfast/machine';
import { PAGE_DESIGNS, type PageDesign } from '@holdfast/pmem';
import { describe, expect, test } from 'vitest';
import { GIB } from '../fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from '../pmem-rig.js';

const FIRST = PMEM_START / 4096;

/** What a design might leave behind. */
function traces(rig: PmemRig): unknown {
  return {
    iomem: rig.text('/proc/iomem'),
    free: rig.meminfo('MemFree'),
    total: rig.meminfo('MemTotal'),
    blocks: rig.text('/proc/buddyinfo'),
    pages: rig.kernel.devicePages.at(pfn(FIRST)) === undefined,
    memory: [...(rig.text('/proc/zoneinfo').match(/present +\d+/g) ?? [])],
  };
}

describe('switching', () => {
  test('1,000 times between random designs, with I/O in between, keeps the data and leaves nothing behind', () => {
    const rig = bootPmem({ cmdline: 'pmem.pages=none', sizeBytes: 256 * MIB });
    const random = seededRandom(4);
    const designs = Object.values<PageDesign>(PAGE_DESIGNS).filter(({ madeAtBoot }) => !madeAtBoot).map(({ name }) => name);
    const reach = 64 * MIB;
    const model = new Map<number, number>();
    rig.unbind();
    const clean = traces(rig);
    for (let i = 0; i < 1000; i++) {
      const design = designs[random.below(designs.length)]!;
      rig.param('pages', design);
      rig.bind();
      const at = random.below(reach / 4096) * 4096;
      rig.write(at, new Uint8Array(512).fill(i % 256));
      model.set(at, i % 256);
      const known = [...model.keys()];
      const seen = known[random.below(known.length)]!;
      if (Buffer.compare(rig.read(seen, 512), new Uint8Array(512).fill(model.get(seen)!)) !== 0) throw new Error(`data at ${seen} lost under ${design}`);
      if (design !== 'none' && i % 8 === 0) pinSome(rig, random.below(reach / 4096));
      rig.unbind();
    }
    rig.param('pages', 'none');
    rig.bind();
    expect([...model].every(([at, value]) => rig.read(at, 512).every((byte) => byte === value))).toBe(true);
    rig.unbind();
    expect(traces(rig)).toEqual(clean);
  });
});

/** A pin that is held over a try to unbind. */
function pinSome(rig: PmemRig, frame: number): void {
  const { pages } = rig.attached()!.pages;
  if (errnoOf(() => pages.getPage(pfn(FIRST + frame), false)) !== 'ok') return;
  expect(errnoOf(() => rig.unbind())).toBe('EBUSY');
  pages.putPage(pfn(FIRST + frame));
}

describe('storage and memory at once', () => {
  test('one device, a partition as RAM and a disk with its pages on the device: a power cut takes the RAM, and leaves the disk', () => {
    const pmem = createNvdimm({ sizeBytes: 2 * GIB });
    const cmdline = 'pmem.pages=device pmem.ram_bytes=512M';
    const first = bootPmem({ cmdline, pmem, sizeBytes: 2 * GIB });
    const { pages } = first.attached()!;
    // 512 MiB of RAM, and 26 MiB for the struct pages of the other 1.5 GiB, by Linux's formula.
    expect(pages.dataSize).toBe(1536 * MIB - 26 * MIB);
    const ramStart = PMEM_START + 1536 * MIB;
    expect(first.text('/proc/iomem')).toContain(`${ramStart.toString(16)}-${(PMEM_START + 2 * GIB - 1).toString(16)} : System RAM (pmem)`);
    first.write(1000 * MIB, new Uint8Array(4096).fill(9));
    pages.pages.getPage(pfn(FIRST + 12), true);
    // Somebody's memory, in the partition.
    first.machine.memory.chunk((ramStart + 64 * MIB) / (2 * MIB)).fill(0xaa);
    first.machine.powercut(7);

    const again = bootPmem({ cmdline, pmem, sizeBytes: 2 * GIB, machine: first.machine });
    expect(again.read(1000 * MIB, 4096).every((byte) => byte === 9)).toBe(true);
    const fresh = again.attached()!.pages;
    expect([fresh.held(), fresh.dataSize]).toEqual([0, pages.dataSize]);
    expect(again.machine.memory.peekChunk((ramStart + 64 * MIB) / (2 * MIB))?.some((byte) => byte !== 0) ?? false).toBe(false);
    const total = again.meminfo('MemTotal');
    again.unbind();
    expect(total - again.meminfo('MemTotal')).toBe(512 * MIB - 12 * MIB);
  });
});
