/**
 * As much of a kernel as a pmem driver needs, for tests: a machine with RAM and NVDIMMs, a block layer, a resource tree and a log.
 */
import { DEFAULT_RELEASE, GIB, KERN, KernelError, MIB, createIda, createIomem, createResource, insertResource, nodeId, parseRelease, pfn, physAddr, sector as asSector } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import { type Bio, type Block, type BlockDevice, type BlkStatus, type Gendisk, allocBio, bioAddPage, createBlock, submitBioWait } from '@holdfast/block';
import { createPlatformBus, createRootDevice, type PlatformBus } from '@holdfast/driver-core';
import { createDram, createMachine, createNvdimm, type Machine, type MachineSpec, type Medium, type NvdimmRootMethods } from '@holdfast/machine';
import { createNvdimms, type NdBus, type Nvdimms } from '@holdfast/nvdimm';
import type { NdPmemNeeds, PmemMapping } from '../src/index.js';

export const RAM_SIZE = 64 * MIB;
export const PMEM_START = 4 * GIB;

export interface TestKernel {
  readonly machine: Machine;
  readonly block: Block;
  readonly iomem: Resource;
  readonly log: string[];
  readonly needs: NdPmemNeeds;
  readonly platform: PlatformBus;
  readonly nvdimms: Nvdimms;
  /** Of the regions that {@link addRegion} adds. */
  readonly bus: NdBus;
  /** Ranges that have struct pages now. */
  readonly devicePages: { start: number; sizeBytes: number }[];
  /** Add a region over a range, with its namespace. */
  addRegion(start: number, sizeBytes: number, options?: { pageMapAllowed?: boolean; dimms?: readonly { notArmed?: boolean; flushHints?: boolean }[] }): void;
}

/** Frames for callers' data begin here; the block layer's own pages lie above. */
export const DATA_PFN = 1024;
const OWN_PFN = 8192;

export function machineWith(pmem: Medium, spec: Partial<MachineSpec> = {}): Machine {
  return createMachine({ media: [{ start: 0, medium: createDram(RAM_SIZE) }, { start: PMEM_START, medium: pmem }], ...spec });
}

export function createKernel({ machine = machineWith(createNvdimm({ sizeBytes: 16 * MIB })), release = DEFAULT_RELEASE.text, mapping, methods }: {
  machine?: Machine;
  release?: string;
  /** The configured default. */
  mapping?: PmemMapping | undefined;
  /** Of the bus's firmware. */
  methods?: NvdimmRootMethods;
} = {}): TestKernel {
  const log: string[] = [];
  const printk = (text: string, level: number = KERN.info): unknown => log.push(level === KERN.info ? text : `<${level}>${text}`);
  const iomem = createIomem();
  const devicePages: TestKernel['devicePages'] = [];
  let next = OWN_PFN;
  const pages = { allocPages: (order: number) => pfn((next += 2 ** order) - 2 ** order), freePages: () => {} };
  const parsed = parseRelease(release);
  const block = createBlock({ printk, clock: machine.clock, memory: machine.memory, pages, release: parsed });
  const platform = createPlatformBus(iomem, printk, parsed);
  const nvdimms = createNvdimms({ iomem, printk, memregions: createIda(), release: parsed });
  const bus = nvdimms.registerBus({ provider: 'test', parent: createRootDevice('test'), ...(methods ? { methods } : {}) });
  return {
    machine, block, bus, iomem, log, platform, nvdimms, devicePages,
    needs: {
      cpu: machine.cpu, memory: machine.memory, iomem, block, printk, release: parsed, nvdimms,
      ...(mapping ? { config: { defaultMapping: mapping } } : {}),
      pageHost: {
        cpu: machine.cpu, memory: machine.memory, clock: machine.clock, iomem, printk, release: parsed,
        frames: { allocBlocks: () => notHere(), freeBlocks: () => notHere() },
        hasBootPages: () => false,
      memremapPages({ start, sizeBytes }) {
          const range = { start, sizeBytes };
          devicePages.push(range);
          return () => void devicePages.splice(devicePages.indexOf(range), 1);
        },
        get memoryHotplug(): never {
          return notHere();
        },
        pageRefs: { get: notHere, put: notHere, count: notHere },
      },
    },
    addRegion(start, sizeBytes, { pageMapAllowed = true, dimms = [] } = {}) {
      const resource = createResource({ name: 'Persistent Memory (legacy)', start, end: start + sizeBytes - 1, desc: 'persistent-memory-legacy' });
      insertResource(iomem, resource);
      const mappings = dimms.map(({ notArmed = false, flushHints = false }, position) => ({
        dimm: nvdimms.registerDimm(bus, { commands: [], notArmed, hasFlushHints: flushHints }), start: 0, sizeBytes, position,
      }));
      nvdimms.registerRegion(bus, { start: physAddr(start), sizeBytes, numaNode: nodeId(0), targetNode: nodeId(0), pageMapAllowed, mappings });
    },
  };
}

export function diskOf(kernel: TestKernel, name = 'pmem0'): Gendisk {
  const disk = kernel.block.disks.find((each) => each.name === name);
  if (!disk) throw new Error(`no ${name}; the log: ${kernel.log.join(' | ')}`);
  return disk;
}

/** A bio over frames from `frame` on. */
export function dataBio(bdev: BlockDevice, opf: number, sector: number, sizeBytes: number, { frame = DATA_PFN, offset = 0 } = {}): Bio {
  const bio = allocBio(bdev, 16, opf);
  bio.sector = asSector(sector);
  bioAddPage(bio, pfn(frame), sizeBytes, offset);
  return bio;
}

export function run(bdev: BlockDevice, opf: number, sector: number, sizeBytes: number, place?: { frame?: number; offset?: number }): BlkStatus {
  return submitBioWait(dataBio(bdev, opf, sector, sizeBytes, place));
}

/** Fill frames from DATA_PFN on. */
export function fillFrames(kernel: TestKernel, value: number, count: number, first = DATA_PFN): void {
  for (let i = 0; i < count; i++) kernel.machine.memory.frame(first + i).fill(value);
}

/** What the device holds, as the machine's memory shows it. */
export function deviceBytes(kernel: TestKernel, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  kernel.machine.memory.read(physAddr(PMEM_START + offset), bytes);
  return bytes;
}

export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

/** The designs that need more of a kernel are tested in one that was booted. */
function notHere(): never {
  throw new KernelError('EOPNOTSUPP', 'this kernel has no struct pages but those of memremap_pages');
}
