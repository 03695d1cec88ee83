/**
 * Which part of a range of device memory can become RAM: whole memory blocks. Mirrors drivers/dax/kmem.c: dax_kmem_range.
 */
import { physAdd, roundDown, roundUp } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';

/** What /proc/iomem calls the memory, below a node that carries the device's name. */
export const KMEM_RESOURCE_NAME = 'System RAM (kmem)';

export interface KmemRange {
  readonly start: PhysAddr;
  /** A multiple of the block size, above 0. */
  readonly sizeBytes: number;
}

/**
 * The whole memory blocks of `sizeBytes` bytes from `start`; undefined if there are none.
 * @param blockSize bytes, a power of two
 */
export function kmemRange({ start, sizeBytes }: KmemRange, blockSize: number): KmemRange | undefined {
  const from = roundUp(start, blockSize) as PhysAddr;
  const to = roundDown(physAdd(start, sizeBytes), blockSize);
  return from < to ? { start: from, sizeBytes: to - from } : undefined;
}
