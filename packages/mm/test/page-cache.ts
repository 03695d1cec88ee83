/** A page cache over a small machine, and a device of plain bytes that fails where it is told to. */
import { PAGE_SIZE, nodeId, pfn } from '@holdfast/lib';
import {
  type AddressSpace, type Folio, type PageCache, createMapping, createPageCache, folioBytes, folioEndRead, folioEndWriteback, folioLength,
} from '../src/index.js';
import { type TestMm, bootMm } from './test-mm.js';

export interface TestDevice {
  readonly bytes: Uint8Array;
  /** `read N+COUNT` and `write N`, in order. */
  readonly seen: string[];
  readonly badReads: Set<number>;
  readonly badWrites: Set<number>;
  readonly mapping: AddressSpace;
}

export interface TestCache extends TestMm {
  readonly cache: PageCache;
  readonly clock: { now: number };
  freePages(): number;
}

/** `pages`: RAM. */
export function createTestCache(pages = 0x8000): TestCache {
  const test = bootMm([{ start: 0, end: pages }]);
  const clock = { now: 0 };
  const frames = new Map<number, Uint8Array>();
  const freePages = (): number => test.mm.zones().reduce((sum, { buddy }) => sum + buddy.freePages, 0);
  const cache = createPageCache({
    pages: test.mm,
    home: nodeId(0),
    memmap: (section) => test.mm.vmemmap.memmap(section),
    pageWords: (frame) => test.mm.vmemmap.pageWords(frame),
    memory: { frame: (nr) => frames.get(nr) ?? frames.set(nr, new Uint8Array(PAGE_SIZE).fill(0xee)).get(nr)! },
    clock,
    sparePages: freePages,
  });
  return { ...test, cache, clock, freePages };
}

export function addDevice(cache: PageCache, sizeBytes: number, { raPages = 32 } = {}): TestDevice {
  const bytes = new Uint8Array(sizeBytes);
  const seen: string[] = [];
  const badReads = new Set<number>();
  const badWrites = new Set<number>();
  const read = (folios: readonly Folio[]): void => {
    seen.push(`read ${folios[0]!.index}+${folios.length}`);
    const failed = folios.some(({ index }) => badReads.has(index)) ? 'EIO' : undefined;
    for (const folio of folios) {
      const at = folio.index * PAGE_SIZE;
      if (!failed) folioBytes(folio).fill(0).set(bytes.subarray(at, at + PAGE_SIZE));
      folioEndRead(folio, failed);
    }
  };
  const mapping = createMapping(cache, {
    name: 'dev',
    isBlockDevice: true,
    sizeBytes: () => sizeBytes,
    raPages: () => raPages,
    ops: {
      readFolio: (folio) => read([folio]),
      readahead: read,
      writepages(folios) {
        for (const folio of folios) {
          seen.push(`write ${folio.index}`);
          const failed = badWrites.has(folio.index);
          if (!failed) bytes.set(folioBytes(folio).subarray(0, folioLength(folio)), folio.index * PAGE_SIZE);
          folioEndWriteback(folio, failed ? 'EIO' : undefined);
        }
      },
    },
  });
  return { bytes, seen, badReads, badWrites, mapping };
}

/** The names of a cached page's flags, as its struct page has them. */
export function flagsOf({ mm }: TestMm, { mapping }: TestDevice, index: number): string[] | undefined {
  const folio = mapping.folios.get(index);
  return folio && [...mm.vmemmap.readPage(pfn(folio.pfn))!.flagNames].sort();
}
