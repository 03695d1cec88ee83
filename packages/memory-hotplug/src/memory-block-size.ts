/**
 * How much memory one memory block holds: the grain in which sysfs shows memory, and in which it goes on- and offline.
 * Mirrors arch/x86/mm/init_64.c: probe_memory_block_size, whose rule changed in 4.3, 4.17 and 5.9.
 *
 * Differs from Linux: no override for UV platforms.
 */
import { GIB, KERN, MIB, PAGE_SIZE, SECTION_SIZE, isAligned, releaseAtLeast } from '@holdfast/lib';
import type { KernelRelease, Pfn, Printk } from '@holdfast/lib';

export interface MemoryBlockSizeInputs {
  /** One past the last frame of RAM (max_pfn): the hole below 4 GiB counts. */
  maxPfn: Pfn;
  /** Bytes that the page allocator manages (totalram), which is what mattered before 4.3. */
  totalRam: number;
  /** The CPUID hypervisor bit. */
  hypervisor: boolean;
  release: KernelRelease;
}

const MIN_SIZE = SECTION_SIZE;
const MAX_SIZE = 2 * GIB;
/** From here on blocks are large. */
const LARGE_MEMORY = 64 * GIB;

/** The size in bytes: a power of two between 128 MiB and 2 GiB. Logs what Linux logs. */
export function probeMemoryBlockSize(inputs: MemoryBlockSizeInputs, printk: Printk): number {
  if (!releaseAtLeast(inputs.release, 4, 3)) return probeBefore43(inputs, printk);
  const size = blockSize(inputs);
  printk(`x86/mm: Memory block size: ${size / MIB}MB`);
  return size;
}

function blockSize({ maxPfn, hypervisor, release }: MemoryBlockSizeInputs): number {
  const end = maxPfn * PAGE_SIZE;
  if (end < LARGE_MEMORY) return MIN_SIZE;
  if (!releaseAtLeast(release, 4, 17)) return MAX_SIZE;
  // Bare metal gains no DIMMs of odd sizes later, so it has no use for small blocks.
  if (releaseAtLeast(release, 5, 9) && !hypervisor) return MAX_SIZE;
  return largestDividing(end);
}

function probeBefore43({ maxPfn, totalRam }: MemoryBlockSizeInputs, printk: Printk): number {
  if (totalRam >= LARGE_MEMORY) {
    printk('Using 2GB memory block size for large-memory system');
    return MAX_SIZE;
  }
  const end = maxPfn * PAGE_SIZE;
  if (end < LARGE_MEMORY) return MIN_SIZE;
  const size = largestDividing(end);
  printk(`memory block size : ${size / MIB}MB`, KERN.debug);
  return size;
}

function largestDividing(end: number): number {
  let size = MAX_SIZE;
  while (size > MIN_SIZE && !isAligned(end, size)) size /= 2;
  return size;
}
