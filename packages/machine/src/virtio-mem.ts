/**
 * The device virtio-mem: a region of the guest's address space in which the guest plugs and unplugs blocks, towards a size that the host
 * requests. Mirrors the device side of the virtio specification, 5.15; QEMU's hw/virtio/virtio-mem.c.
 *
 * Invariant: plugged memory is whole blocks inside the usable region, and no request makes it exceed the requested size. What is unplugged
 * has lost its bytes.
 */
import { KernelError, MIB, type PhysAddr, hex, isPowerOf2 } from '@holdfast/lib';
import type { Machine } from './hardware.js';

/** How the device answers a request: done; not more than is requested; not valid. */
export type VirtioMemResponse = 'ack' | 'nack' | 'error';

export interface VirtioMemSpec {
  /** Bytes, as all numbers here; a multiple of the block size. */
  readonly start: number;
  readonly regionSize: number;
  /** A power of two of at least 1 MiB; default 2 MiB. */
  readonly blockSize?: number;
  readonly requestedSize?: number;
  /** The proximity domain of the memory; default 0. */
  readonly pxm?: number;
}

export interface VirtioMem {
  readonly kind: 'mem';
  readonly start: number;
  readonly regionSize: number;
  readonly blockSize: number;
  readonly pxm: number;
  /** Only the first so many bytes of the region can be plugged now. */
  readonly usableRegionSize: number;
  readonly pluggedSize: number;
  readonly requestedSize: number;
  /** Requests of the guest, for `[addr, addr + nrBlocks * blockSize)`. */
  plug(addr: number, nrBlocks: number): VirtioMemResponse;
  unplug(addr: number, nrBlocks: number): VirtioMemResponse;
  unplugAll(): VirtioMemResponse;
  /** Whom to tell when the host has changed the configuration; one driver at a time. */
  onConfigChange(listener: (() => void) | undefined): void;
  /** The host asks for another size. @throws KernelError EINVAL unless it is a multiple of the block size and fits the region. */
  request(sizeBytes: number): void;
  /** The machine starts anew: nothing is plugged, and the request stays. */
  reset(): void;
}

const MIN_BLOCK_SIZE = MIB;
export const VIRTIO_MEM_BLOCK_SIZE = 2 * MIB;
/** So far beyond the request the usable region goes: the guest may leave gaps of unusable alignment. */
const USABLE_EXTENT = 256 * MIB;

/** @param machine where RAM is attached at the whole region. @throws KernelError EINVAL */
export function createVirtioMem(
  machine: Machine,
  { start, regionSize, blockSize = VIRTIO_MEM_BLOCK_SIZE, requestedSize = 0, pxm = 0 }: VirtioMemSpec,
): VirtioMem {
  if (!isPowerOf2(blockSize) || blockSize < MIN_BLOCK_SIZE) {
    throw new KernelError('EINVAL', `'block-size' property has to be a power of two of at least ${hex(MIN_BLOCK_SIZE)}`);
  }
  if (start % blockSize !== 0) throw new KernelError('EINVAL', `'memaddr' property has to be a multiple of 'block-size' (${hex(blockSize)})`);
  if (regionSize <= 0 || regionSize % blockSize !== 0) {
    throw new KernelError('EINVAL', `'memdev' property memory size has to be a multiple of 'block-size' (${hex(blockSize)})`);
  }
  checkRequest(requestedSize);
  const plugged = new Uint8Array(regionSize / blockSize);
  let nrPlugged = 0;
  let requested = requestedSize;
  let usable = usableFor(requested);
  let listener: (() => void) | undefined;

  function checkRequest(sizeBytes: number): void {
    if (sizeBytes % blockSize !== 0) throw new KernelError('EINVAL', `'requested-size' has to be a multiple of 'block-size' (${hex(blockSize)})`);
    if (!(sizeBytes >= 0 && sizeBytes <= regionSize)) {
      throw new KernelError('EINVAL', `'requested-size' cannot exceed the memory backend size (${hex(regionSize)})`);
    }
  }

  function usableFor(sizeBytes: number): number {
    return sizeBytes === 0 ? 0 : Math.min(regionSize, sizeBytes + Math.ceil(USABLE_EXTENT / blockSize) * blockSize);
  }

  /** The blocks `[first, end)` of a request, if it is valid and all of them are as `now` says. */
  function blocksOf(addr: number, nrBlocks: number, now: 0 | 1): { first: number; end: number } | undefined {
    const first = (addr - start) / blockSize;
    const end = first + nrBlocks;
    if (!Number.isInteger(first) || nrBlocks <= 0 || first < 0 || end * blockSize > usable) return undefined;
    const other = plugged.indexOf(1 - now, first);
    return other >= first && other < end ? undefined : { first, end };
  }

  function unplugAll(): VirtioMemResponse {
    if (nrPlugged > 0) machine.memory.clear(start as PhysAddr, regionSize);
    plugged.fill(0);
    nrPlugged = 0;
    usable = usableFor(requested);
    return 'ack';
  }

  return {
    kind: 'mem',
    start,
    regionSize,
    blockSize,
    pxm,
    get usableRegionSize() {
      return usable;
    },
    get pluggedSize() {
      return nrPlugged * blockSize;
    },
    get requestedSize() {
      return requested;
    },
    plug(addr, nrBlocks) {
      const blocks = blocksOf(addr, nrBlocks, 0);
      if (!blocks) return 'error';
      if ((nrPlugged + nrBlocks) * blockSize > requested) return 'nack';
      plugged.fill(1, blocks.first, blocks.end);
      nrPlugged += nrBlocks;
      return 'ack';
    },
    unplug(addr, nrBlocks) {
      const blocks = blocksOf(addr, nrBlocks, 1);
      if (!blocks) return 'error';
      plugged.fill(0, blocks.first, blocks.end);
      nrPlugged -= nrBlocks;
      machine.memory.clear(addr as PhysAddr, nrBlocks * blockSize);
      return 'ack';
    },
    unplugAll,
    onConfigChange(next) {
      listener = next;
    },
    request(sizeBytes) {
      checkRequest(sizeBytes);
      requested = sizeBytes;
      usable = Math.max(usable, usableFor(sizeBytes)); // it shrinks only when nothing is plugged
      listener?.();
    },
    reset() {
      listener = undefined;
      unplugAll();
    },
  };
}
