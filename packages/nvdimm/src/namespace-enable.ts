/**
 * A namespace's bytes, mapped for those who read what lies on it: info blocks, BTTs.
 * Mirrors drivers/nvdimm/claim.c: devm_nsio_enable, devm_nsio_disable.
 */
import { KERN, KernelError, memRange, releaseResource, requestRegion } from '@holdfast/lib';
import type { PhysAddr, Printk, Resource } from '@holdfast/lib';
import { nvdimmFlush } from './flush.js';
import type { NamespaceIo } from './namespace-io.js';
import type { NdNamespace } from './nd-device.js';

/** A write-back mapping, as machine's. */
export interface NdMemory {
  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void;
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
export function enableNamespace<M extends NdMemory>({ cpu, iomem, printk }: NamespaceEnableDeps<M>, ns: NdNamespace, sizeBytes: number, who: string): EnabledNamespace {
  const claimed = claim(iomem, ns, sizeBytes, who, printk);
  let mapping: M;
  try {
    mapping = cpu.map(ns.start, sizeBytes, 'WB');
  } catch (error) {
    releaseResource(claimed);
    throw error;
  }
  return {
    io: {
      // Formats ask how large the namespace is, and stay inside what they had mapped.
      sizeBytes: ns.sizeBytes,
      read: (offset, target) => mapping.read(offset, target, 0, target.length),
      write: (offset, source) => mapping.writeFlushCache(offset, source, 0, source.length),
      zero: (offset, length) => mapping.writeZeroes(offset, length),
      flush() {
        if (!nvdimmFlush(ns.region, cpu)) throw new KernelError('EIO', `${ns.name}: the provider could not flush`);
      },
    },
    disable() {
      cpu.unmap(mapping);
      releaseResource(claimed);
    },
  };
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
