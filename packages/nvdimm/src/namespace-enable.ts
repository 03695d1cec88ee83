/**
 * A namespace's bytes, mapped for those who read what lies on it: info blocks, BTTs.
 * Mirrors drivers/nvdimm/claim.c: devm_nsio_enable, devm_nsio_disable.
 */
import { KERN, KernelError, SECTOR_SIZE, intersectRanges, memRange, releaseResource, requestRegion } from '@holdfast/lib';
import type { PhysAddr, Printk, Resource } from '@holdfast/lib';
import { type Badblocks, createBadblocks } from '@holdfast/block';
import { nvdimmFlush } from './flush.js';
import type { NamespaceIo } from './namespace-io.js';
import type { NdNamespace } from './nd-device.js';
import { clearPoison, trackBadblocks } from './poison.js';

/** A write-back mapping, as machine's. */
export interface NdMemory {
  /** Returns how many bytes could not be read. */
  readRecoverable(offset: number, target: Uint8Array, targetOffset: number, length: number): number;
  writeFlushCache(offset: number, source: Uint8Array, sourceOffset: number, length: number): void;
  writeZeroes(offset: number, length: number): void;
}

/** What this asks of a CPU. */
export interface NdCpu<M extends NdMemory = NdMemory> {
  map(start: PhysAddr, sizeBytes: number, type: 'WB'): M;
  unmap(mapping: M): void;
  sfence(): void;
}

export interface NamespaceEnableDeps<M extends NdMemory = NdMemory> {
  readonly cpu: NdCpu<M>;
  readonly iomem: Resource;
  readonly printk: Printk;
}

export interface EnabledNamespace {
  readonly io: NamespaceIo;
  /** Give the range up; `io` is of no use then. */
  disable(): void;
}

/**
 * Claim and map the first `sizeBytes` of a namespace.
 * @param who begins the log line, as `nd_pmem namespace0.0`
 * @throws KernelError EBUSY, logged, if somebody has the range; ENOMEM if nothing is there to be mapped
 */
export function enableNamespace<M extends NdMemory>(
  { cpu, iomem, printk }: NamespaceEnableDeps<M>,
  ns: NdNamespace,
  sizeBytes: number,
  who: string,
): EnabledNamespace {
  const claimed = claim(iomem, ns, sizeBytes, who, printk);
  let mapping: M;
  try {
    mapping = cpu.map(ns.start, sizeBytes, 'WB');
  } catch (error) {
    releaseResource(claimed);
    throw error;
  }
  const badblocks = createBadblocks();
  const untrack = trackBadblocks(ns.region, badblocks, ns.start, ns.start + ns.sizeBytes);
  const flush = (): void => {
    if (!nvdimmFlush(ns.region, cpu)) throw new KernelError('EIO', `${ns.name}: the provider could not flush`);
  };
  return {
    io: {
      // Formats ask how large the namespace is, and stay inside what they had mapped.
      sizeBytes: ns.sizeBytes,
      read(offset, target) {
        const lost = isBad(badblocks, offset, target.length) || mapping.readRecoverable(offset, target, 0, target.length) > 0;
        if (lost) throw new KernelError('EIO', `${ns.name}: a media error in ${target.length} bytes at ${offset}`);
      },
      write(offset, source, atomic = false) {
        const isGood = makeGood(ns, badblocks, offset, source.length, atomic);
        mapping.writeFlushCache(offset, source, 0, source.length);
        if (isGood) return;
        flush();
        throw new KernelError('EIO', `${ns.name}: a media error stays under a write of ${source.length} bytes at ${offset}`);
      },
      zero(offset, length) {
        const isGood = makeGood(ns, badblocks, offset, length, false);
        mapping.writeZeroes(offset, length);
        if (!isGood) throw new KernelError('EIO', `${ns.name}: a media error stays under ${length} zeros at ${offset}`);
      },
      flush,
      badRanges: (offset, length) => badblocks.entries().flatMap(([first, count]) =>
        intersectRanges({ start: first * SECTOR_SIZE, end: (first + count) * SECTOR_SIZE }, { start: offset, end: offset + length }) ?? []),
    },
    disable() {
      untrack();
      cpu.unmap(mapping);
      releaseResource(claimed);
    },
  };
}

/** Is there a bad sector among those that `length` bytes at `offset` touch? */
function isBad(badblocks: Badblocks, offset: number, length: number): boolean {
  const first = Math.floor(offset / SECTOR_SIZE);
  return badblocks.count > 0 && badblocks.check(first, Math.ceil((offset + length) / SECTOR_SIZE) - first) !== undefined;
}

/** Before a write: clear the poison under it, if that may be done here. False if some stays. */
function makeGood({ region, start }: NdNamespace, badblocks: Badblocks, offset: number, length: number, atomic: boolean): boolean {
  if (!isBad(badblocks, offset, length)) return true;
  if (atomic || offset % SECTOR_SIZE !== 0 || length % SECTOR_SIZE !== 0) return false;
  const cleared = clearPoison(region, start + offset, length);
  if (cleared >= SECTOR_SIZE) badblocks.clear(offset / SECTOR_SIZE, Math.floor(cleared / SECTOR_SIZE));
  return cleared >= length;
}

function claim(iomem: Resource, { name, start, sizeBytes: whole }: NdNamespace, sizeBytes: number, who: string, printk: Printk): Resource {
  try {
    return requestRegion(iomem, start, sizeBytes, name);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    printk(`${who}: could not reserve region ${memRange(start, start + whole - 1)}`, KERN.warning);
    throw new KernelError('EBUSY', error.message, { cause: error });
  }
}
