/**
 * A machine that is switched off in order comes up again with all that was written, whatever was in use.
 */
import { MIB, pfn } from '@holdfast/lib';
import { createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { GIB } from './fixture.js';
import { PMEM_START, type PmemRig, bootPmem, errnoOf } from './pmem-rig.js';

const DATA = 256 * MIB;

describe('a shutdown', () => {
  it.each([
    { what: 'memory of the kernel in the part of the disk that is RAM', use: takeLentMemory },
    { what: 'pages of the disk that somebody holds', use: (rig: PmemRig) => rig.attached()!.pages.pages.getPage(pfn(PMEM_START / 4096), true) },
  ])('goes on with $what, and loses nothing', ({ use }) => {
    const pmem = createNvdimm({ sizeBytes: GIB });
    const options = { cmdline: 'pmem.pages=hotplug pmem.ram_bytes=512M', pmem, ramBytes: 2 * GIB + 128 * MIB };
    const first = bootPmem(options);
    use(first);
    expect(errnoOf(() => first.unbind())).toBe('EBUSY');
    const process = first.kernel.createProcess('writer');
    const heap = process.mmap(null, { length: 4096 });
    process.store(heap, new Uint8Array(4096).fill(7));
    process.pwrite(process.open('/dev/pmem0', { write: true }), heap, 4096, DATA);
    first.kernel.shutdown();
    expect(first.kernel.log.lines.at(-1)!.text).toBe('reboot: Power down');
    const again = bootPmem({ ...options, machine: first.machine });
    expect(again.read(DATA, 4096)).toEqual(new Uint8Array(4096).fill(7));
    again.unbind();
  });
});

/** Allocate as a driver does, 4 MiB at a time, until some of it lies in the last half of the device. */
function takeLentMemory({ kernel }: PmemRig): void {
  const { pages } = kernel.block.needs;
  while (pages.allocPages(10) < (PMEM_START + GIB / 2) / 4096);
}
