/**
 * Mapping a device-dax device into a process: what is refused, and what a touch finds.
 * Mirrors drivers/dax/device.c: dax_mmap, check_vma, dev_dax_huge_fault, dax_may_split; and dax_pgoff_to_phys of drivers/dax/bus.c (6.1).
 *
 * Invariant: a page of a mapping is as large as the device's alignment, and lies whole in one range of the device.
 */
import { KernelError, PAGE_SIZE, createRatelimit, hex, physToPfn, roundDown } from '@holdfast/lib';
import type { Pfn, PhysAddr, Printk, PrintkRatelimited } from '@holdfast/lib';
import { VM, insertPfn, leafSize, linearPageIndex } from '@holdfast/mm';
import type { FaultOutcome, LeafLevel, MmapFile, VmArea, VmFault, VmOperations } from '@holdfast/mm';
import type { DevDax } from './dev-dax.js';

/** What the log says of mappings that are refused, ten of a kind in five seconds (dev_info_ratelimited). */
export interface DaxMmapLog {
  readonly privateMapping: PrintkRatelimited;
  readonly unaligned: PrintkRatelimited;
}

/** To be made once a kernel: each place that speaks counts for all devices. */
export function createDaxMmapLog(printk: Printk, clock: { readonly now: number }): DaxMmapLog {
  return { privateMapping: createRatelimit(printk, clock, 'check_vma'), unaligned: createRatelimit(printk, clock, 'check_vma') };
}

export interface DevDaxFileSpec {
  /** The name of the process, for the log. */
  readonly comm: string;
  readonly writable?: boolean;
  readonly log: DaxMmapLog;
}

/** An open device, to be mapped. Its mmap throws KernelError ENXIO if no driver lets it, EINVAL if it is private or not aligned: see the log. */
export function devDaxFile(device: DevDax, { comm, writable = true, log }: DevDaxFileSpec): MmapFile {
  return {
    name: device.name,
    readable: true,
    writable,
    mmaps: device.mmaps,
    isFsDax: false,
    mapAlign: device.align,
    mapSync: true,
    mmap(vma) {
      if (!isAlive(device)) {
        throw new KernelError('ENXIO', `${device.name} is not bound to device_dax`, {
          nearest: [{ instead: `daxctl reconfigure-device -f --mode=devdax ${device.name}` }],
        });
      }
      checkVma(device, vma, (kind, text) => log[kind]([`device_dax ${device.name}: ${comm}: dax_mmap: fail, ${text}`]));
      vma.ops = operationsOf(device);
      vma.flags |= VM.HUGEPAGE;
    },
  };
}

function isAlive(device: DevDax): boolean {
  return device.region.bus.driverOf(device)?.name === 'device_dax';
}

/** @throws KernelError EINVAL */
function checkVma({ name, align }: DevDax, { start, end, flags }: VmArea, log: (kind: keyof DaxMmapLog, text: string) => void): void {
  if ((flags & VM.MAYSHARE) === 0) {
    log('privateMapping', 'attempted private mapping');
    throw new KernelError('EINVAL', `${name}: only MAP_SHARED maps device-dax`, { nearest: [{ value: 'MAP_SHARED' }] });
  }
  if (start % align !== 0 || end % align !== 0) {
    log('unaligned', `unaligned vma (${hex(start)} - ${hex(end)}, ${hex(align - 1)})`);
    throw new KernelError('EINVAL', `${name}: a mapping's offset and length must be multiples of ${hex(align)}`, { nearest: [{ align }] });
  }
}

function operationsOf(device: DevDax): VmOperations {
  return {
    fault: (fault) => devDaxFault(device, fault, 0),
    hugeFault: (fault, level) => devDaxFault(device, fault, level),
    maySplit(_vma, address) {
      if (address % device.align !== 0) {
        throw new KernelError('EINVAL', `${device.name} cannot be split at ${hex(address)}, within a page of ${hex(device.align)}`);
      }
    },
  };
}

/** The page of the hardware must be the device's. */
function devDaxFault(device: DevDax, fault: VmFault, level: LeafLevel): FaultOutcome {
  const { vma, address, write } = fault;
  const size = leafSize(level);
  if (!isAlive(device) || size < device.align) return 'sigbus';
  if (size > device.align) return 'fallback';
  const start = roundDown(address, size);
  if (start < vma.start || start + size > vma.end) return 'sigbus';
  const pfn = pfnOf(device, linearPageIndex(vma, start), size);
  return pfn === undefined ? 'sigbus' : insertPfn(fault, level, pfn, write);
}

/** The frame of a page of the device, if so many bytes from there on lie in one range, and at a multiple of them. */
function pfnOf({ ranges }: DevDax, pgoff: number, size: number): Pfn | undefined {
  const range = ranges.find(({ pageOffset, sizeBytes }) => pgoff >= pageOffset && pgoff < pageOffset + sizeBytes / PAGE_SIZE);
  if (!range) return undefined;
  const into = (pgoff - range.pageOffset) * PAGE_SIZE;
  const isWhole = into + size <= range.sizeBytes && (range.start + into) % size === 0;
  return isWhole ? physToPfn((range.start + into) as PhysAddr) : undefined;
}
