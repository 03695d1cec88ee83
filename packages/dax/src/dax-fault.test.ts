/** The fault table of fs/dax.c: what a touch of a DAX file makes, by how the file lies. */
import { KernelError, MIB } from '@holdfast/lib';
import { MAP, type MmStruct, PROT, PTE, createMmStruct, faultIn, isSignal, pinUserPages } from '@holdfast/mm';
import { describe, expect, it } from 'vitest';
import { DEVICE_PFN, bootUserPages } from '../test/user-pages.js';
import { type DaxDevice, createDaxDevice, daxDirectAccess } from './dax-device.js';
import { DAX_ENTRY, daxEntryPfn, daxEntryWord, daxMakeEntry } from './dax-entry.js';
import { daxFile } from './dax-fault.js';
import { type DaxExtent, type DaxMapping, createDaxMapping } from './dax-mapping.js';

const PAGES = 16384;
const RW = PROT.READ | PROT.WRITE;

interface Setup {
  /** Bytes of the file, and of the device from `addr` on. */
  sizeBytes?: number;
  addr?: number;
  type?: DaxExtent['type'];
  /** Bytes of an extent. */
  extent?: number;
  badPage?: number;
  rules?: 'v4.1' | 'iomap';
  synchronous?: boolean;
  isDirty?: boolean;
}

function setUp({ sizeBytes = 8 * MIB, addr = 0, type = 'mapped', extent = Infinity, badPage = -1, rules = 'iomap', synchronous = true, isDirty = false }: Setup = {}) {
  const calls: string[] = [];
  let kind = type;
  const device: DaxDevice = createDaxDevice('pmem0', {
    directAccess(pgoff, nrPages) {
      if (badPage >= pgoff && badPage < pgoff + nrPages) throw new KernelError('EIO', 'bad block');
      return { pfn: (DEVICE_PFN + pgoff) as never, nrPages: PAGES - pgoff };
    },
    read: (_offset, target) => target.length, write: () => {}, recoveryWrite: (_offset, source) => source.length, zeroPageRange: () => {}, writeCache: true, synchronous,
    writeBack: (pgoff, nrPages) => void calls.push(`writeBack ${pgoff} ${nrPages}`),
  });
  const mapping = createDaxMapping(device, {
    sizeBytes,
    extentAt(start, _length, forWrite) {
      if (forWrite && kind !== 'mapped') kind = 'mapped';
      const from = extent === Infinity ? 0 : start - (start % extent);
      return { type: kind, start: from, length: extent === Infinity ? sizeBytes : extent, addr: addr + from, isDirty };
    },
    syncMetadata: (start, length) => void calls.push(`sync ${start} ${length}`),
  });
  const pages = bootUserPages();
  const mm = createMmStruct(pages);
  const file = daxFile(mapping, { name: 'f', rules });
  const map = (length = 4 * MIB, offset = 0, flags: number = MAP.SHARED, address?: number): number =>
    mm.mmap({ length, offset, prot: RW, flags: flags | (address === undefined ? 0 : MAP.FIXED), file, ...(address === undefined ? {} : { address }) });
  return { calls, device, mapping, pages, mm, map };
}

/** The level and frame of the entry, whether it can be written, and of which kind it is; or the signal. */
function touch(mm: MmStruct, address: number, write: boolean): string {
  const leaf = faultIn(mm, address, write);
  if (isSignal(leaf)) return leaf.signal;
  const where = leaf.pfn >= DEVICE_PFN && leaf.pfn < DEVICE_PFN + PAGES ? `device+${leaf.pfn - DEVICE_PFN}` : mm.pages.isZeroPage(leaf.pfn) ? 'zero' : 'copy';
  return `${['pte', 'pmd', 'pud'][leaf.level]} ${where}${(leaf.flags & PTE.RW) !== 0 ? ' rw' : ''}`;
}

const HIGH = 0x40000000;

describe('a fault', () => {
  it.each<[string, Setup, { offset?: number; length?: number; address?: number; flags?: number; at?: number; write?: boolean }, string]>([
    ['of a read', {}, {}, 'pmd device+0'],
    ['of a write', {}, { write: true }, 'pmd device+0 rw'],
    ['behind the file', { sizeBytes: 2 * MIB }, { at: 2 * MIB }, 'SIGBUS'],
    ['on the last page of a file that does not fill 2 MiB', { sizeBytes: 2 * MIB + 4096 }, { at: 2 * MIB }, 'pte device+512'],
    ['where the address lies in its 2 MiB as the offset does not', {}, { address: HIGH + 4096, at: 2 * MIB }, 'pte device+512'],
    ['where the mapping does not cover the 2 MiB', {}, { length: MIB }, 'pte device+0'],
    ['of a private write', {}, { flags: MAP.PRIVATE, write: true }, 'pte copy rw'],
    ['of a private read', {}, { flags: MAP.PRIVATE }, 'pmd device+0'],
    ['on an extent of less than 2 MiB', { extent: MIB }, {}, 'pte device+0'],
    ['on frames that are not aligned, as a partition at 1 MiB gives', { addr: MIB }, {}, 'pte device+256'],
    ['of a read of a hole', { type: 'hole' }, {}, 'pmd zero'],
    ['of a read of a small hole', { type: 'hole', extent: 4096 }, {}, 'pte zero'],
    ['of a read of what was never written', { type: 'unwritten', extent: 4096 }, {}, 'pte zero'],
    ['of a write to a hole, which is filled', { type: 'hole' }, { write: true }, 'pmd device+0 rw'],
    ['on a bad page', { badPage: 3 }, { at: 3 * 4096 }, 'SIGBUS'],
    ['beside a bad page', { badPage: 3 }, { at: 4 * 4096 }, 'pte device+4'],
    ['under 4.1', { rules: 'v4.1' }, { at: 5 * 4096 }, 'pte device+5'],
    ['of a private write under 4.1', { rules: 'v4.1' }, { flags: MAP.PRIVATE, write: true }, 'pte copy rw'],
    ['behind the file under 4.1', { rules: 'v4.1', sizeBytes: 2 * MIB }, { at: 2 * MIB }, 'SIGBUS'],
  ])('%s', (_what, spec, { offset = 0, length = 4 * MIB, address, flags = MAP.SHARED, at = 0, write = false }, want) => {
    const { mm, map } = setUp(spec);
    expect(touch(mm, map(length, offset, flags, address) + at, write)).toBe(want);
  });

  it('of a write takes over what a read had mapped', () => {
    for (const [spec, before, after] of [
      [{}, 'pmd device+0', 'pmd device+0 rw'],
      [{ extent: MIB }, 'pte device+0', 'pte device+0 rw'],
      [{ type: 'hole' }, 'pmd zero', 'pmd device+0 rw'],
      [{ type: 'hole', extent: 4096 }, 'pte zero', 'pte device+0 rw'],
      [{ rules: 'v4.1' }, 'pte device+0', 'pte device+0 rw'],
    ] as const) {
      const { mm, map } = setUp(spec);
      const address = map();
      expect([touch(mm, address, false), touch(mm, address, true)]).toEqual([before, after]);
    }
  });

  it('in a 2 MiB range that has a small page finds small pages', () => {
    const { mm, map } = setUp();
    const odd = map(4 * MIB, 0, MAP.SHARED, HIGH + 4096);
    expect(touch(mm, odd + 4096, false)).toBe('pte device+1');
    expect(touch(mm, map(), false)).toBe('pte device+0');
  });
});

describe('MAP_SYNC', () => {
  const SYNC = MAP.SHARED_VALIDATE | MAP.SYNC;

  it('makes metadata durable before a page can be written', () => {
    const { mm, map, calls } = setUp({ isDirty: true });
    const address = map(4 * MIB, 0, SYNC);
    touch(mm, address, false);
    expect(calls).toEqual([]);
    touch(mm, address, true);
    expect(calls).toEqual(['sync 0 2097152']);
  });

  it.each<[string, Setup]>([['where the host flushes', { synchronous: false }], ['under 4.1', { rules: 'v4.1' }]])('is refused %s', (_what, spec) => {
    expect(() => setUp(spec).map(4 * MIB, 0, SYNC)).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }));
  });
});

describe('dirty pages', () => {
  const dirtyAndWriteBack = ({ mapping, mm }: { mapping: DaxMapping; mm: MmStruct }, address: number): void => {
    touch(mm, address, true);
    mapping.writeback(0, Infinity);
  };

  it('are those that were mapped writable, until the caches are written back; then a store faults again', () => {
    const all = setUp({ extent: MIB });
    const { mapping, mm, map, calls } = all;
    const address = map();
    touch(mm, address, false);
    expect(mapping.dirtyPages).toBe(0);
    dirtyAndWriteBack(all, address + 3 * 4096);
    expect(calls).toEqual(['writeBack 3 1']);
    expect([mapping.dirtyPages, mm.pageTable.find(address + 3 * 4096)!.flags & (PTE.RW | PTE.DIRTY)]).toEqual([0, 0]);
    touch(mm, address + 3 * 4096, true);
    expect(mapping.dirtyPages).toBe(1);
  });

  it('are 512 at a time where a large page is mapped, and nobody knows of any under 4.1', () => {
    const large = setUp();
    dirtyAndWriteBack(large, large.map() + 5 * 4096);
    expect(large.calls).toEqual(['writeBack 0 512']);
    const old = setUp({ rules: 'v4.1' });
    dirtyAndWriteBack(old, old.map());
    expect(old.calls).toEqual([]);
  });
});

it('a page that somebody holds keeps its layout busy', () => {
  const { mapping, mm, map, pages } = setUp();
  const address = map();
  const pin = pinUserPages(mm, address + 7 * 4096, 1);
  expect(mapping.layoutBusyPage(0, 512, pages)).toBe(DEVICE_PFN + 7);
  expect(mapping.layoutBusyPage(8, 504, pages)).toBeUndefined();
  expect(mm.pageTable.find(address)).toBeUndefined();
  pin.put();
  expect(mapping.layoutBusyPage(0, 512, pages)).toBeUndefined();
});

it('a mapping of a device that goes is answered with SIGBUS', () => {
  const { device, mm, map } = setUp();
  const address = map();
  touch(mm, address, true);
  device.kill();
  expect([touch(mm, address, false), touch(mm, address + 2 * MIB, true)]).toEqual(['SIGBUS', 'SIGBUS']);
});

it('direct access has the errnos of dax_direct_access', () => {
  const { device } = setUp({ badPage: 9 });
  const codeOf = (run: () => unknown): string | number => {
    try {
      return (run() as { nrPages: number }).nrPages;
    } catch (error) {
      return (error as KernelError).code;
    }
  };
  expect([
    codeOf(() => daxDirectAccess(undefined, 0, 1)), codeOf(() => daxDirectAccess(device, 0, -1)), codeOf(() => daxDirectAccess(device, PAGES, 1)),
    codeOf(() => daxDirectAccess(device, 8, 2)), codeOf(() => daxDirectAccess(device, PAGES - 3, 9)),
  ]).toEqual(['EOPNOTSUPP', 'EINVAL', 'ERANGE', 'EIO', 3]);
  device.kill();
  expect(codeOf(() => daxDirectAccess(device, 0, 1))).toBe('ENXIO');
});

it('an entry is a frame and four flags', () => {
  const entry = daxMakeEntry(0x2_0000_0001, DAX_ENTRY.PMD | DAX_ENTRY.LOCKED);
  expect([daxEntryPfn(entry), daxEntryWord(entry)]).toEqual([0x2_0000_0001, 0x40_0000_0027n]);
});
