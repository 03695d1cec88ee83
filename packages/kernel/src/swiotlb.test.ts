import { GIB, MIB, PAGE_SIZE, parseCmdline, parseRelease, physAddr, physToPfnUp } from '@holdfast/lib';
import { createMemblock } from '@holdfast/mm';
import { describe, expect, it } from 'vitest';
import { pciIommuInit, swiotlbInit } from './swiotlb.js';

const MAPPED = 'software IO TLB: mapped [mem 0x000000007c000000-0x0000000080000000] (64MB)';
const USING = 'PCI-DMA: Using software bounce buffering for IO (SWIOTLB)';
const failed = (bytes: number): string => `software IO TLB: swiotlb_memblock_alloc: Failed to allocate ${bytes} bytes tlb structure`;

interface Machine {
  readonly cmdline?: string;
  readonly ram?: readonly (readonly [start: number, end: number])[];
  /** Behind the last memory that there could be. */
  readonly possible?: number;
  readonly cpus?: number;
  readonly release?: string;
}

function start({ cmdline = '', ram = [[MIB, 2 * GIB]], possible = 5 * GIB, cpus = 1, release = '6.1.0' }: Machine): { log: string[]; memblock: ReturnType<typeof createMemblock> } {
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const memblock = createMemblock();
  for (const [from, to] of ram) memblock.add(from, to - from);
  const needs = { params: parseCmdline(cmdline), memblock, maxPossiblePfn: physToPfnUp(physAddr(possible)), nrCpus: cpus, release: parseRelease(release), printk };
  pciIommuInit(swiotlbInit(needs), needs.release, printk);
  return { log, memblock };
}

describe('swiotlb', () => {
  it.each<[string, Machine, string[]]>([
    ['memory above 4 GiB', {}, ['software IO TLB: area num 1.', USING, MAPPED]],
    ['none', { possible: 4 * GIB }, []],
    ['a page above 4 GiB', { possible: 4 * GIB + PAGE_SIZE }, ['software IO TLB: area num 1.', USING, MAPPED]],
    ['three CPUs', { cpus: 3 }, ['software IO TLB: area num 4.', USING, MAPPED]],
    ['a kernel without areas', { release: '5.10.0', cpus: 3 }, [USING, MAPPED]],
    ['high memory too', { ram: [[MIB, 2 * GIB], [4 * GIB, 5 * GIB]] }, ['software IO TLB: area num 1.', USING, MAPPED]],
    ['swiotlb=noforce', { cmdline: 'swiotlb=noforce' }, [USING, 'software IO TLB: No low mem']],
    ['iommu=off', { cmdline: 'iommu=off' }, []],
    ['iommu=soft and nothing above 4 GiB', { cmdline: 'iommu=noaperture,soft', possible: 2 * GIB }, ['software IO TLB: area num 1.', USING, MAPPED]],
    ['swiotlb=force and nothing above 4 GiB', { cmdline: 'swiotlb=force', possible: 2 * GIB }, ['software IO TLB: area num 1.']],
    ['a size', { cmdline: 'swiotlb=65536' }, ['software IO TLB: area num 1.', USING, 'software IO TLB: mapped [mem 0x0000000078000000-0x0000000080000000] (128MB)']],
    ['a size and areas', { cmdline: 'swiotlb=0x200,7' }, [
      'software IO TLB: area num 8.', 'software IO TLB: SWIOTLB bounce buffer size roundup to 2MB', USING, 'software IO TLB: mapped [mem 0x000000007fe00000-0x0000000080000000] (2MB)',
    ]],
    ['options that add up', { cmdline: 'swiotlb=4096 swiotlb=,2 swiotlb=force' }, ['software IO TLB: area num 2.', USING, 'software IO TLB: mapped [mem 0x000000007f800000-0x0000000080000000] (8MB)']],
    ['little low memory', { ram: [[MIB, 30 * MIB]] }, [
      'software IO TLB: area num 1.', failed(64 * MIB), failed(32 * MIB), 'software IO TLB: SWIOTLB bounce buffer size adjusted 32768 -> 8192 slabs', USING,
      'software IO TLB: mapped [mem 0x0000000000e00000-0x0000000001e00000] (16MB)',
    ]],
    ['little low memory, before 6.1', { ram: [[MIB, 30 * MIB]], release: '6.0.0' }, ['software IO TLB: area num 1.', failed(64 * MIB), USING, 'software IO TLB: No low mem']],
    ['hardly any', { ram: [[MIB, 2 * MIB - 1]] }, ['software IO TLB: area num 1.', ...[64, 32, 16, 8, 4, 2, 1].map((mib) => failed(mib * MIB)), USING, 'software IO TLB: No low mem']],
  ])('with %s', (_name, machine, log) => expect(start(machine).log).toEqual(log));

  it('lies below 4 GiB, under what was taken before, and is taken from then on', () => {
    // A real q35 of 4 GiB: the initrd was at the end of its low memory, struct pages and tables were above 4 GiB.
    const { memblock } = start({ ram: [[MIB, 0x7f69a000], [4 * GIB, 6 * GIB]] });
    expect(memblock.reserved).toMatchObject([{ start: 0x7b69a000, end: 0x7f69a000 }]);
  });
});
