/**
 * The driver dax_pmem: a namespace with a devdax info block, handed over whole as a static dax region with one device.
 * Mirrors drivers/dax/pmem.c: __dax_pmem_probe.
 *
 *   namespaceR.n ◀─claims─ daxR.m of the nd bus ─provides─▶ region R ─▶ daxR.n of the dax bus, numbered as the namespace
 *
 * Invariant: the metadata at the namespace's start is claimed here, and the data behind it by the dax device's own driver.
 */
import { KERN, KernelError, SUBSECTION_SIZE, releaseResource, requestRegion } from '@holdfast/lib';
import type { PhysAddr, Printk, Resource } from '@holdfast/lib';
import type { DevPagemap } from '@holdfast/memory-hotplug';
import { INFO_BLOCK_RESERVE, enableNamespace, nvdimmNamespaceCommonProbe } from '@holdfast/nvdimm';
import type { NdCpu, NdDriver, NdNamespace, NdPfn, Nvdimms, PfnSetup } from '@holdfast/nvdimm';
import type { DaxBus } from './dax-bus.js';
import { type DaxRegion, allocDaxRegion } from './dax-region.js';
import { createDevDax } from './dev-dax.js';

export interface DaxPmemDeps {
  readonly dax: DaxBus;
  /** Where the driver registers: it asks there for the info block. */
  readonly nvdimms: Pick<Nvdimms, 'bus' | 'setupPfn'>;
  readonly cpu: NdCpu;
  readonly iomem: Resource;
  readonly printk: Printk;
}

export function daxPmemDriver(deps: DaxPmemDeps): NdDriver {
  return { name: 'dax_pmem', match: ({ type }) => type === 'dax', probe: (device) => probe(device as NdPfn, deps) };
}

function probe(pfn: NdPfn, deps: DaxPmemDeps): () => void {
  const { nvdimms, iomem, printk } = deps;
  const ns = nvdimmNamespaceCommonProbe(pfn, { bus: nvdimms.bus, iomem, printk });
  try {
    const setup = readSetup(pfn, ns, deps);
    const metadata = reserveMetadata(pfn, ns, setup, deps);
    try {
      const region = createRegion(pfn, ns, setup, deps);
      return () => {
        region.unregister();
        releaseResource(metadata);
        pfn.block = undefined;
      };
    } catch (error) {
      releaseResource(metadata);
      throw error;
    }
  } catch (error) {
    pfn.block = undefined;
    throw error;
  }
}

function readSetup(pfn: NdPfn, ns: NdNamespace, { nvdimms, ...deps }: DaxPmemDeps): PfnSetup {
  const enabled = enableNamespace(deps, ns, Math.min(INFO_BLOCK_RESERVE, ns.sizeBytes), `dax_pmem ${pfn.name}`);
  try {
    return nvdimms.setupPfn(pfn, enabled.io);
  } finally {
    enabled.disable();
  }
}

function reserveMetadata(pfn: NdPfn, ns: NdNamespace, { dataOffset }: PfnSetup, { iomem, printk }: DaxPmemDeps): Resource {
  try {
    return requestRegion(iomem, ns.start, dataOffset, ns.name);
  } catch (cause) {
    printk(`dax_pmem ${pfn.name}: could not reserve metadata`, KERN.warning);
    throw new KernelError('EBUSY', `${ns.name}: somebody has a part of its first ${dataOffset} bytes`, { cause });
  }
}

function createRegion(pfn: NdPfn, ns: NdNamespace, { mapping, dataOffset, align }: PfnSetup, { dax }: DaxPmemDeps): DaxRegion {
  const { id, targetNode, numaNode } = pfn.region;
  const start = (mapping.start + dataOffset) as PhysAddr;
  const sizeBytes = mapping.end - start;
  const region = allocDaxRegion(dax, { provider: pfn, id, start, sizeBytes, align, targetNode, numaNode, isStatic: true });
  if (!region) {
    throw new KernelError('ENOMEM', `${ns.name}: the data, ${sizeBytes} bytes at ${start}, must begin and end on its alignment, ${align}`, {
      nearest: [{ align: SUBSECTION_SIZE }],
    });
  }
  const { altmap } = mapping;
  const pgmap: DevPagemap = {
    type: 'generic',
    start: mapping.start as PhysAddr,
    sizeBytes: mapping.end - mapping.start,
    owner: ns.name,
    ...(altmap ? { altmap: { reserve: altmap.reserve, free: altmap.free } } : {}),
  };
  createDevDax(region, { id: ns.id, sizeBytes, pgmap });
  return region;
}
