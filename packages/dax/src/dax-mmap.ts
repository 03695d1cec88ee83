/**
 * Mapping a device-dax device into a process: what is refused, where the mapping comes to lie, and what a touch of it finds.
 * Mirrors drivers/dax/device.c: dax_mmap, check_vma, dax_get_unmapped_area, dev_dax_huge_fault.
 *
 * Invariant: a page of a mapping is as large as the device's alignment, and lies whole in one range of the device.
 * Differs from Linux: a mapping is an answer, not a change: no process keeps it, and nothing is stored through it.
 */
import { KERN, KernelError, PAGE_SIZE, hex, physAdd, roundDown, roundUp } from '@holdfast/lib';
import type { PhysAddr, Printk } from '@holdfast/lib';
import type { DevDax } from './dev-dax.js';

export interface MmapRequest {
  /** Bytes into the device; a multiple of a page. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** MAP_SHARED or MAP_SHARED_VALIDATE, and not MAP_PRIVATE. */
  readonly shared: boolean;
  /** The name of the process, for the log. */
  readonly comm: string;
}

export interface DaxMapping {
  /** Where it begins in the process. */
  readonly address: number;
  /** The physical address behind a byte of the mapping, counted from its start; undefined where a touch is answered with SIGBUS. */
  fault(at: number): PhysAddr | undefined;
}

/** Where a process without address randomization has room: below its loader, at no address that is special. */
const MMAP_BASE = 0x7ffff7fc9000;

/** @throws KernelError ENXIO if no driver lets the device be mapped, EINVAL if the mapping is private or not aligned, which the log tells */
export function mmapDevDax(device: DevDax, { offset, length, shared, comm }: MmapRequest, printk: Printk): DaxMapping {
  const { name, align, region } = device;
  if (region.bus.driverOf(device)?.name !== 'device_dax') throw new KernelError('ENXIO', `${name} is not bound to device_dax`);
  const refuse = (text: string, why: string): never => {
    printk(`device_dax ${name}: ${comm}: dax_mmap: fail, ${text}`, KERN.info);
    throw new KernelError('EINVAL', `${name}: ${why}`);
  };
  if (!shared) refuse('attempted private mapping', 'only MAP_SHARED maps device-dax');
  const size = roundUp(length, PAGE_SIZE);
  const address = unmappedArea(align, offset, size);
  const end = address + size;
  if (address % align !== 0 || end % align !== 0) {
    refuse(`unaligned vma (${hex(address)} - ${hex(end)}, ${hex(align - 1)})`, `offset ${hex(offset)} and length ${hex(length)} must be multiples of ${hex(align)}`);
  }
  return { address, fault: (at) => fault(device, offset + at) };
}

/** An address that lies in its page of `align` bytes as the offset does, unless the mapping holds no such page. */
function unmappedArea(align: number, offset: number, length: number): number {
  const end = offset + length;
  const firstPage = roundUp(offset, align);
  if (end <= firstPage || end - firstPage < align) return roundDown(MMAP_BASE - length, PAGE_SIZE);
  const address = roundDown(MMAP_BASE - length - align, PAGE_SIZE);
  return address + ((((offset - address) % align) + align) % align);
}

/** The page that holds a byte of the device must lie in one range, whole. */
function fault({ align, ranges }: DevDax, byte: number): PhysAddr | undefined {
  const page = roundDown(byte, align);
  const range = ranges.find(({ pageOffset, sizeBytes }) => page >= pageOffset * PAGE_SIZE && page < pageOffset * PAGE_SIZE + sizeBytes);
  if (!range) return undefined;
  const into = page - range.pageOffset * PAGE_SIZE;
  const isWhole = into + align <= range.sizeBytes && (range.start + into) % align === 0;
  return isWhole ? physAdd(range.start, into + byte - page) : undefined;
}
