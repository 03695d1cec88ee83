/**
 * The card and its driver: bytes that last, and a card that is pulled at any moment of its work.
 */
import fc from 'fast-check';
import { BLK_STS, REQ, REQ_OP, allocBio, bioAddPage, createBlock, submitBio, submitBioWait } from '@holdfast/block';
import type { Gendisk } from '@holdfast/block';
import { DEFAULT_RELEASE, KernelError, PAGE_SIZE, createIda, createIomem, createResource, formatIomem, insertResource, pfn, sector } from '@holdfast/lib';
import { createDevicePagesMap } from '@holdfast/mm';
import { createDram, createMachine, createPciMemory } from '@holdfast/machine';
import { createPci, createPciFunction, createPciHost } from '@holdfast/pci';
import { type PageHost, parsePmemMapping } from '@holdfast/pmem';
import { describe, expect, it } from 'vitest';
import { createPmemCard } from './pmem-card.js';
import { createPmemPciDriver } from './pmem-pci.js';

const SIZE = 2 ** 26;
const SLOT = 4;
/** The first frame of the card's memory. */
const PFN = pfn(0x380000000);

function setUp({ mapping }: { mapping?: string } = {}) {
  const machine = createMachine({ media: [{ start: 0, medium: createDram(2 ** 24) }] });
  const { memory, cpu, clock } = machine;
  const host = createPciHost(machine);
  const medium = createPciMemory({ sizeBytes: SIZE });
  const card = createPmemCard(medium);
  host.plug(card, SLOT);
  const log: string[] = [];
  const printk = (text: string): void => void log.push(text);
  const iomem = createIomem();
  const memregions = createIda();
  const block = createBlock({ printk, memory, clock, pages: { allocPages: () => pfn(1), freePages: () => {} }, release: DEFAULT_RELEASE });
  /** Ranges that have struct pages. */
  const paged = new Set<number>();
  const memremapPages = ({ start }: { start: number }) => {
    paged.add(start);
    return () => void paged.delete(start);
  };
  // Of all that a design may use, what Linux does of its own accord needs these.
  const pageHost = { memory, memremapPages, pageRefs: { get: () => {}, put: () => {} } } as unknown as PageHost;
  const devicePages = createDevicePagesMap();
  const params = mapping === undefined ? {} : { params: { mapping: parsePmemMapping(mapping) } };

  /** A kernel boots on it. */
  const boot = () => {
    host.reset();
    const windows = [{ start: 0xc0000000, end: 0xfebfffff }, { start: 0x380000000000, end: 0x3fffffffffff }].map((range) => createResource({ name: 'PCI Bus 0000:00', ...range }));
    for (const window of windows) insertResource(iomem, window);
    const pci = createPci({ bridge: host, printk });
    pci.scan(windows);
    pci.assignResources();
    pci.registerDriver(createPmemPciDriver({ pci, block, memory, cpu, iomem, printk, release: DEFAULT_RELEASE, memregions, pageHost, devicePages, ...params }));
    return pci;
  };
  /** All that a device could leave behind. */
  const held = () => ({
    iomem: formatIomem(iomem),
    disks: block.disks.map(({ name }) => name),
    minors: [...block.extMinors],
    paged: [...paged],
    frames: devicePages.at(PFN)?.owner,
    attached: machine.mediumAt(0x380000000000 as never) === medium,
  });
  return { machine, memory, host, card, log, block, boot, held, memregions, devicePages };
}

/** Write or read one page of a disk through frame 16 + `at`. */
function page(disk: Gendisk, op: number, at: number) {
  const bio = allocBio(disk.part0, 1, op);
  bio.sector = sector(at * 8);
  bioAddPage(bio, pfn(16 + at), PAGE_SIZE, 0);
  return bio;
}

const WRITE = REQ_OP.WRITE;
const READ = REQ_OP.READ;

describe('a card', () => {
  it('is a disk that says how it is mapped', () => {
    const { boot, log, block } = setUp();
    boot();
    expect(log.slice(-2)).toEqual([
      'pmem_pci 0000:00:04.0: enabling device (0000 -> 0002)',
      'pmem_pci 0000:00:04.0: pmem0: 0x4000000 bytes, mapped wc',
    ]);
    expect(block.disks[0]!.part0.nrSectors).toBe(SIZE / 512);
  });

  it.each(['uc', 'wc', 'wt', 'wb', 'pages'])('keeps what was written and flushed over a power cut, mapped %s', (mapping) => {
    const { machine, boot, host, block, memory } = setUp({ mapping });
    boot();
    memory.frame(pfn(16)).fill(0x5a);
    expect(submitBioWait(page(block.disks[0]!, WRITE | REQ.FUA, 0))).toBe(BLK_STS.OK);
    machine.powercut(7);
    host.reset();
    const fresh = setUp({ mapping });
    fresh.host.unplug(SLOT);
    fresh.host.plug(host.unplug(SLOT), SLOT);
    fresh.boot();
    expect(submitBioWait(page(fresh.block.disks[0]!, READ, 0))).toBe(BLK_STS.OK);
    expect(fresh.memory.frame(pfn(16)).every((byte) => byte === 0x5a)).toBe(true);
  });

  it('takes the next name that no region and no disk has', () => {
    const { boot, host, block, memregions } = setUp();
    host.plug(createPmemCard(createPciMemory({ sizeBytes: SIZE })));
    memregions.alloc();
    boot();
    expect(block.disks.map(({ name }) => name)).toEqual(['pmem1', 'pmem2']);
  });

  it('is refused if it is another, or lies about its size', () => {
    const { host, boot, block, held, log } = setUp();
    const before = held();
    const lying = (registers: Record<number, number>) => createPciFunction({ vendor: 0x4846, device: 0x504d, classCode: 0x050000, bars: {
      0: { width: 32, sizeBytes: 4096, registers: { read: (offset) => registers[offset] ?? 0, write: () => {} } },
      2: { width: 64, prefetchable: true, medium: createPciMemory({ sizeBytes: 2 ** 20 }) },
    } });
    host.unplug(SLOT);
    host.plug(lying({}), 5);
    host.plug(lying({ 0: 0x4d504648, 4: 1, 8: 2 ** 30, 16: 1 }), 6);
    const pci = boot();
    expect(block.disks).toEqual([]);
    expect(log.filter((line) => line.includes('probe'))).toEqual(['pmem_pci: probe of 0000:00:06.0 failed with error -22']);
    for (const slot of [5, 6]) pci.ejectRequested(slot);
    expect(held().disks).toEqual(before.disks);
  });
});

describe('a card that is pulled', () => {
  it('ends its bios with EIO from then on, and says so once', () => {
    const { host, boot, block, log } = setUp();
    boot();
    const disk = block.disks[0]!;
    host.unplug(SLOT);
    for (const op of [READ, WRITE, WRITE | REQ.FUA, WRITE | REQ.PREFLUSH]) expect(submitBioWait(page(disk, op, 1))).toBe(BLK_STS.IOERR);
    expect(log.filter((line) => line.includes('answer'))).toEqual(['pmem_pci 0000:00:04.0: pmem0: the card does not answer']);
  });

  it('fails the flush that comes first', () => {
    const { host, boot, block } = setUp();
    boot();
    host.unplug(SLOT);
    expect(submitBioWait(allocBio(block.disks[0]!.part0, 0, WRITE | REQ.PREFLUSH))).toBe(BLK_STS.IOERR);
  });

  it('leaves nothing behind, at whatever bio it goes, and however', () => {
    const ways = fc.constantFrom('pull', 'eject', 'remove');
    const mapping = fc.constantFrom('uc', 'wc', 'wt', 'wb', 'pages');
    const op = fc.constantFrom(READ, WRITE, WRITE | REQ.FUA, WRITE | REQ.PREFLUSH);
    fc.assert(fc.property(ways, mapping, fc.array(op, { minLength: 1, maxLength: 12 }), fc.nat(11), (way, mapped, ops, when) => {
      const { host, card, boot, block, held } = setUp({ mapping: mapped });
      const pci = boot();
      pci.ejectRequested(SLOT);
      host.unplug(SLOT);
      const before = held();
      host.plug(card, SLOT);
      pci.rescan();
      const disk = block.disks[0]!;
      const statuses: number[] = [];
      const take = {
        pull: () => {
          host.unplug(SLOT);
          pci.surpriseRemoved(SLOT);
        },
        eject: () => pci.ejectRequested(SLOT),
        remove: () => pci.remove(pci.bus.devices[0]!),
      }[way];
      // All bios are queued behind the first: it submits the others while it ends, so that they are outstanding when the card goes.
      const bios = ops.map((each, at) => page(disk, each, at));
      for (const [i, bio] of bios.entries()) {
        bio.endIo = () => {
          statuses.push(bio.status);
          if (i === 0) for (const other of bios.slice(1)) submitBio(other);
          if (i === Math.min(when, ops.length - 1)) take();
        };
      }
      submitBio(bios[0]!);
      expect(statuses).toHaveLength(ops.length);
      expect(statuses.map((status, i) => status === (i <= when ? BLK_STS.OK : BLK_STS.IOERR))).toEqual(ops.map(() => true));
      expect(submitBioWait(page(disk, WRITE, 0))).toBe(BLK_STS.IOERR);
      if (way !== 'pull') host.unplug(SLOT);
      expect(held()).toEqual(before);
      // And it comes back, under its old name.
      host.plug(card, SLOT);
      pci.rescan();
      expect(block.disks.map(({ name }) => name)).toEqual(['pmem0']);
    }), { numRuns: 80 });
  });
});

it('cannot be let go of while somebody holds its pages, and goes by the next rescan if it was pulled', () => {
  const { boot, host, block, devicePages, held, log } = setUp({ mapping: 'pages' });
  const pci = boot();
  const pages = devicePages.at(PFN)!;
  pages.getPage(PFN, true);
  const device = pci.bus.devices[0]!;
  expect(() => pci.remove(device)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  host.unplug(SLOT);
  pci.surpriseRemoved(SLOT);
  expect(log.at(-1)).toMatch(/^pmem_pci 0000:00:04.0: is gone, and cannot be removed yet: /);
  expect(submitBioWait(page(block.disks[0]!, READ, 0))).toBe(BLK_STS.IOERR);
  pages.putPage(PFN);
  pci.rescan();
  expect(pci.bus.devices).toEqual([]);
  expect(held()).toMatchObject({ disks: [], minors: [], paged: [], frames: undefined, attached: false });
});

it('unmaps before it lets go: what is mapped afresh may have another type', () => {
  const { boot, machine } = setUp({ mapping: 'wb' });
  const pci = boot();
  const start = 0x380000000000;
  expect(() => machine.cpu.map(start as never, PAGE_SIZE, 'WC')).toThrow(KernelError);
  pci.remove(pci.bus.devices[0]!);
  expect(machine.cpu.map(start as never, PAGE_SIZE, 'WC').type).toBe('WC');
});
