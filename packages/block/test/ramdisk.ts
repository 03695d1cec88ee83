/**
 * A block layer with a disk of plain bytes, for tests: records every bio its driver gets, and completes at once or when told.
 */
import { KERN, KernelError, PAGE_SIZE, SECTOR_SIZE, pfn } from '@holdfast/lib';
import type { KernelRelease } from '@holdfast/lib';
import {
  type Bio, type Block, type BlkStatus, type BlockNeeds, type Gendisk, type GendiskSpec, type PageSource,
  BLK_STS, addDisk, bioEndWith, createBlock, createBvecIter, createQueue, nextSegment, opIsWrite, startIter,
} from '../src/index.js';

/** 4 KiB frames by number, made when first asked for. */
export function createFrames(): { frame(pfn: number): Uint8Array } {
  const frames = new Map<number, Uint8Array>();
  return {
    frame(nr) {
      let frame = frames.get(nr);
      if (!frame) frames.set(nr, (frame = new Uint8Array(PAGE_SIZE)));
      return frame;
    },
  };
}

/** Gives out frames from 0x1000 on, never the same twice, and knows how many are out. */
export function createPages(): PageSource & { readonly outstanding: number } {
  let next = 0x1000;
  let outstanding = 0;
  return {
    get outstanding() {
      return outstanding;
    },
    allocPages(order) {
      const count = 2 ** order;
      const first = Math.ceil(next / count) * count;
      next = first + count;
      outstanding += count;
      return pfn(first);
    },
    freePages: (_first, order) => {
      outstanding -= 2 ** order;
    },
  };
}

export interface Harness {
  readonly block: Block;
  readonly log: string[];
  readonly clock: { now: number };
  readonly memory: { frame(pfn: number): Uint8Array };
  readonly pages: ReturnType<typeof createPages>;
}

export function createHarness(overrides: Partial<BlockNeeds> & { release?: KernelRelease } = {}): Harness {
  const log: string[] = [];
  const clock = { now: 0 };
  const memory = createFrames();
  const pages = createPages();
  const printk: BlockNeeds['printk'] = (text, level = KERN.info) => log.push(level === KERN.info ? text : `<${level}>${text}`);
  return { block: createBlock({ printk, clock, memory, pages, ...overrides }), log, clock, memory, pages };
}

export interface RamDisk {
  readonly disk: Gendisk;
  readonly bytes: Uint8Array;
  /** What the driver was given, in order. */
  readonly seen: { op: number; sector: number; sizeBytes: number }[];
  /** The first sector that cannot be read or written. */
  badSector: number;
}

/** Add a disk that moves its bytes; `intercept` may take a bio over. */
export function addRamDisk(harness: Harness, spec: Partial<GendiskSpec> & { bytes?: Uint8Array; intercept?: (bio: Bio) => boolean } = {}): RamDisk {
  const { bytes = new Uint8Array(1024 * 1024), intercept, ...rest } = spec;
  const seen: RamDisk['seen'] = [];
  const ram = { bytes, seen, badSector: Infinity };
  const iter = createBvecIter();
  // The scan for partitions is not the test's business.
  let added = false;
  const disk = addDisk(harness.block, {
    name: 'ram0',
    queue: createQueue(),
    nrSectors: Math.floor(bytes.length / SECTOR_SIZE),
    ops: {
      submitBio(bio) {
        seen.push({ op: bio.opf, sector: bio.sector, sizeBytes: bio.sizeBytes });
        if (added && intercept?.(bio)) return;
        bioEndWith(bio, move(bio));
      },
    },
    ...rest,
  });
  function move(bio: Bio): BlkStatus {
    startIter(iter, bio);
    while (nextSegment(iter, bio)) {
      if (iter.sector + iter.len / SECTOR_SIZE > ram.badSector) return BLK_STS.IOERR;
      const at = iter.sector * SECTOR_SIZE;
      const page = harness.memory.frame(iter.pfn).subarray(iter.offset, iter.offset + iter.len);
      if (opIsWrite(bio.opf)) bytes.set(page, at);
      else page.set(bytes.subarray(at, at + iter.len));
    }
    return BLK_STS.OK;
  }
  seen.length = 0;
  added = true;
  return Object.assign(ram, { disk });
}

/** What a call throws: the errno's name, or `ok`. */
export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
