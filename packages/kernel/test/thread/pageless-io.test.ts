/**
 * Rows 14 and 15 of the thread of April 2015: frames named by number, without struct pages, through the whole I/O path, which has to agree.
 */
import { PFN, decodePfnT, encodePfnT, readPfnSg, sgTableFromPages, writePfnSg } from '@holdfast/block';
import { createDmaCard } from '@holdfast/dmaengine';
import { KernelError, MIB, type PhysAddr, pfn } from '@holdfast/lib';
import { type Machine, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { getUserPfns } from '@holdfast/mm';
import { createPciHost } from '@holdfast/pci';
import { createDrive } from '@holdfast/sd';
import { describe, expect, test } from 'vitest';
import { type Kernel, PROT, type Process, boot, readFile } from '../../src/index.js';
import { GIB, e820Text, kernelOf } from '../fixture.js';
import { errnoOf } from '../pmem-rig.js';

const PAGE = 4096;
const RAM = 2 * GIB;
const PMEM = 4 * GIB;
const OTHER = 6 * GIB;
const DATA = 256 * MIB;
const CONVERTED = 'sd_mod.by_pfn holdfast_dma.by_pfn';
const bytes = (value: number, length = PAGE): Uint8Array => new Uint8Array(length).fill(value);

interface Rig {
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly process: Process;
  /** Pages of pmem0, mapped. */
  readonly dax: number;
  readonly heap: number;
}

/** Two NVDIMMs as pmem0 and pmem1, a SATA disk, and a DMA engine. */
function bootRig(cmdline: string): Rig {
  const machine = createMachine({
    media: [{ start: 0, medium: createDram(RAM) }, { start: PMEM, medium: createNvdimm({ sizeBytes: GIB }) }, { start: OTHER, medium: createNvdimm({ sizeBytes: GIB }) }],
  });
  const host = createPciHost(machine);
  host.plug(createDmaCard(machine, host));
  const type = 'persistent (type 12)';
  const e820 = e820Text([
    { start: 0, end: 0x9fc00, type: 'usable' },
    { start: 0x100000, end: RAM, type: 'usable' },
    { start: PMEM, end: PMEM + GIB, type },
    { start: OTHER, end: OTHER + GIB, type },
  ]);
  const kernel = kernelOf(boot({ machine, pci: host, firmware: { e820 }, drives: [createDrive({ sizeBytes: 64 * MIB })], cmdline: `pmem.mapping=wb ${cmdline}` }));
  const process = kernel.createProcess('database');
  const prot = PROT.READ | PROT.WRITE;
  const dax = process.mmap(process.open('/dev/pmem0', { write: true, dax: true }), { length: MIB, offset: DATA, prot });
  return { machine, kernel, process, dax, heap: process.mmap(null, { length: MIB, prot }) };
}

/** Write from pages of the mapping to another disk and back into others; returns what the second ones hold then. */
function throughDisk({ process, dax }: Rig, disk: string): Uint8Array {
  const fd = process.open(disk, { write: true, direct: true });
  process.store(dax, bytes(14, 8 * PAGE));
  process.pwrite(fd, dax, 8 * PAGE, 8 * MIB);
  process.pread(fd, dax + 16 * PAGE, 8 * PAGE, 8 * MIB);
  return process.load(dax + 16 * PAGE, 8 * PAGE);
}

/** Copy a page of pmem0 to RAM by the DMA engine. */
function byDma({ kernel, process, heap, dax }: Rig): Uint8Array {
  process.store(dax, bytes(15));
  process.store(heap, bytes(0));
  const target = process.pin(heap, PAGE, { write: true });
  const list = sgTableFromPages([pfn((PMEM + DATA) / PAGE)], 0, PAGE);
  const channel = kernel.dma[0]!;
  let error: string | undefined;
  channel.submit(sgTableFromPages(target.pfns, 0, PAGE), list, (code) => {
    error = code;
  });
  channel.issuePending();
  target.put();
  if (error) throw new KernelError(error as never, 'the engine refused');
  return process.load(heap, PAGE);
}

describe('pages=pfn', () => {
  test('row 14: a mapping without struct pages is the buffer of I/O to other disks, in both directions, and of DMA', () => {
    const rig = bootRig(`pmem.pages=pfn ${CONVERTED}`);
    const pages = rig.kernel.pmem.get('pmem0')!.pages;
    for (const disk of ['/dev/sda', '/dev/pmem1']) expect(throughDisk(rig, disk)).toEqual(bytes(14, 8 * PAGE));
    expect(byDma(rig)).toEqual(bytes(15));
    expect([pages.ramPageBytes(), pages.devicePageBytes(), pages.held()]).toEqual([0, 0, 0]);
    // There is still no page for anybody else.
    expect(errnoOf(() => rig.process.pin(rig.dax, PAGE))).toBe('EFAULT');
  });

  test('row 14: a scatterlist in memory says by pfn_t that its frames have no struct page: bits 63 to 59 are flags, the rest the number', () => {
    expect(PFN.SG_CHAIN * 2 ** 52).toBe(2 ** 63);
    expect([PFN.SG_LAST, PFN.DEV, PFN.MAP, PFN.SPECIAL].map((flag) => Math.log2(flag * 2 ** 52))).toEqual([62, 61, 60, 59]);
    const { machine, process, dax } = bootRig('pmem.pages=pfn');
    const { pfns, hasPage } = getUserPfns(process.mm, dax, 1);
    const table = sgTableFromPages([...pfns, pfn(pfns[0]! + 2)], 0, 2 * PAGE);
    table.flags.fill(hasPage[0] ? 0 : PFN.DEV);
    const frame = pfn(MIB / PAGE + 1024);
    writePfnSg(machine.memory, table, [frame]);
    const word = new Uint8Array(8);
    machine.memory.read((frame * PAGE) as PhysAddr, word);
    const first = new DataView(word.buffer).getBigUint64(0, true);
    expect(first).toBe((1n << 61n) | BigInt((PMEM + DATA) / PAGE));
    expect(encodePfnT(decodePfnT(first).pfn, decodePfnT(first).flags)).toBe(first);
    expect([...readPfnSg(machine.memory, frame).flags]).toEqual([PFN.DEV, PFN.DEV]);
  });

  test('row 15: who is not converted refuses with EOPNOTSUPP, and the report names each layer and who blocks', () => {
    const rig = bootRig('pmem.pages=pfn');
    const report = readFile(rig.kernel.root, '/sys/kernel/debug/pfn_io') as string;
    expect(errnoOf(() => throughDisk(rig, '/dev/sda'))).toBe('EOPNOTSUPP');
    expect(errnoOf(() => byDma(rig))).toBe('EOPNOTSUPP');
    expect(errnoOf(() => throughDisk(rig, '/dev/pmem1'))).toBe('ok');
    expect(report.match(/^\w+: .*$/gm)).toEqual(['pmem0: yes', 'pmem1: yes', 'sda: EOPNOTSUPP']);
    expect(report.slice(report.indexOf('sda')).match(/^ {2}[\w ]+: (takes them|needs struct pages)/gm)).toEqual([
      '  bio: takes them', '  partition remap: takes them', '  split: takes them', '  scatterlist: takes them', '  sd: needs struct pages',
    ]);
    expect(readFile(bootRig(CONVERTED).kernel.root, '/sys/kernel/debug/pfn_io')).not.toContain('EOPNOTSUPP');
  });

  test('rows 14 and 15: only this design offers frames by number; converted drivers make no difference to others', () => {
    const outcomes = [`pmem.pages=none ${CONVERTED}`, `pmem.pages=pfn ${CONVERTED}`, 'pmem.pages=ram'].map((cmdline) => {
      const rig = bootRig(cmdline);
      return [errnoOf(() => throughDisk(rig, '/dev/sda')), errnoOf(() => byDma(rig)), rig.kernel.devicePages.at(pfn((PMEM + DATA) / PAGE))!.pte];
    });
    expect(outcomes).toEqual([['EFAULT', 'EOPNOTSUPP', 'special'], ['ok', 'ok', 'special'], ['ok', 'ok', 'devmap']]);
  });
});
