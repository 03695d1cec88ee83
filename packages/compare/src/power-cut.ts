/**
 * What a power cut takes: pages that were written and flushed, and pages that were only written, counted after the next boot.
 */
import { MAP, PROT } from '@holdfast/kernel';
import { KernelError, MIB, PAGE_SIZE } from '@holdfast/lib';
import type { PageDesignName, PmemMapping } from '@holdfast/pmem';
import { DISK, type Rig } from './rig.js';

const PAGES = 32;
const FLUSHED_AT = 8 * MIB;
const STORED_AT = 10 * MIB;
const CACHED_AT = 12 * MIB;

export interface PowerCutResult {
  /** Of pages that fsync returned for. */
  readonly fsyncedLost: number;
  /** Of pages stored through a mapping and not flushed. */
  readonly storedLost: number;
  /** Of pages written through the page cache and not synced. */
  readonly cachedLost: number;
  readonly pages: number;
  /** Virtual nanoseconds until the disk was there again after the boot, bound anew. */
  readonly rebindNs: number;
}

/** What was lost, and the machine after the cut, with the disk bound again. */
export interface AfterPowerCut {
  readonly result: PowerCutResult;
  readonly rig: Rig;
}

/** Writes, pulls the plug, boots, binds with the same design, and looks. */
export function tryPowerCut(rig: Rig, design: PageDesignName, mapping: PmemMapping, seed = 1): AfterPowerCut {
  const process = rig.kernel.createProcess('writer');
  const heap = process.mmap(null, { length: PAGES * PAGE_SIZE });
  process.store(heap, new Uint8Array(PAGES * PAGE_SIZE).fill(0x77));
  const buffered = process.open(DISK, { write: true });
  process.pwrite(buffered, heap, PAGES * PAGE_SIZE, FLUSHED_AT);
  process.fsync(buffered);
  process.pwrite(buffered, heap, PAGES * PAGE_SIZE, CACHED_AT);
  const dax = process.open(DISK, { write: true, dax: true });
  const mapped = process.mmap(dax, { offset: STORED_AT, length: PAGES * PAGE_SIZE, prot: PROT.READ | PROT.WRITE, flags: MAP.SHARED });
  process.store(mapped, new Uint8Array(PAGES * PAGE_SIZE).fill(0x77));

  const again = rig.powercut(seed);
  const from = again.machine.clock.now;
  again.attach(design, mapping);
  const rebindNs = again.machine.clock.now - from;
  const reader = again.kernel.createProcess('reader');
  const fd = reader.open(DISK, { direct: true });
  const buffer = reader.mmap(null, { length: PAGE_SIZE });
  const lost = (start: number): number => {
    let count = 0;
    for (let page = 0; page < PAGES; page++) {
      if (reader.pread(fd, buffer, PAGE_SIZE, start + page * PAGE_SIZE) !== PAGE_SIZE) throw new KernelError('EIO', 'a short read');
      if (reader.load(buffer, PAGE_SIZE).some((byte) => byte !== 0x77)) count++;
    }
    return count;
  };
  const result = { fsyncedLost: lost(FLUSHED_AT), storedLost: lost(STORED_AT), cachedLost: lost(CACHED_AT), pages: PAGES, rebindNs };
  reader.exit();
  return { result, rig: again };
}
