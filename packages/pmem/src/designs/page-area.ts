/**
 * The area that some designs keep at the end of a device: struct pages, or memory that is RAM, and in its last frame a header that says so.
 * The header is to this area what the info block is to Linux's (drivers/nvdimm/pfn_devs.c), at the other end, so that sector 0 stays.
 *
 *   0                 dataSize                                         sizeBytes
 *   ├── the disk ─────┼── struct pages │ system RAM │ slack ──┬── header ┤
 *
 * Invariant: bytes that are not zeros are taken for an area only where a valid header says that they are one. A disk that shows the end
 * of its device as data wipes an area of ours first, so that a header that is there always tells of bytes that are nobody's data.
 */
import { KernelError, PAGE_SIZE, STRUCT_PAGE_SIZE, SUBSECTION_SIZE, ascii, fletcher64, hex, layout, physAdd, roundUp, u32, u64 } from '@holdfast/lib';
import type { PhysAddr } from '@holdfast/lib';
import { CHUNK_SIZE } from '@holdfast/machine';
import type { DesignDevice, PageHost } from '../page-design.js';
import { binarySize } from './binary-size.js';

const HEADER_SIZE = PAGE_SIZE;
/** What Linux sets aside in front of its array; here it is behind. */
const RESERVE = 8192;
const SIGNATURE = 'HOLDFAST_PAGES';

const HEADER = layout('page area header', HEADER_SIZE, {
  signature: ascii(0, 16),
  design: ascii(16, 16),
  areaBytes: u64(32),
  pageSize: u32(40),
  structPageSize: u32(44),
  release: ascii(48, 64),
  checksum: u64(4088),
});

/** What a header says. */
export interface PageArea {
  readonly design: string;
  /** Bytes at the end of the device. */
  readonly areaBytes: number;
  readonly pageSize: number;
  readonly structPageSize: number;
  readonly release: string;
}

/**
 * Bytes of an area that holds an array of struct pages for a device: as many as Linux's info block sets aside (nd_pfn_init, align 2 MiB).
 * 1 TiB gives 0x400200000.
 */
export function pageAreaBytes({ start, sizeBytes }: Pick<DesignDevice, 'start' | 'sizeBytes'>): number {
  const nrPages = Math.floor((sizeBytes - RESERVE) / PAGE_SIZE);
  return roundUp(start + RESERVE + STRUCT_PAGE_SIZE * nrPages, SUBSECTION_SIZE) - start;
}

/** The header of a device, if a valid one is there. */
export function readPageArea({ memory }: Pick<PageHost, 'memory'>, { start, sizeBytes }: Pick<DesignDevice, 'start' | 'sizeBytes'>): PageArea | undefined {
  if (sizeBytes < HEADER_SIZE) return undefined;
  const bytes = new Uint8Array(HEADER_SIZE);
  memory.read(physAdd(start, sizeBytes - HEADER_SIZE), bytes);
  return parsePageArea(bytes, sizeBytes);
}

/** Read a header from the last frame of a device of `sizeBytes`; undefined if it is none. */
export function parsePageArea(bytes: Uint8Array, sizeBytes: number): PageArea | undefined {
  const { signature, checksum, design, pageSize, structPageSize, release, ...fields } = HEADER.decode(bytes);
  const areaBytes = Number(fields.areaBytes);
  if (signature !== SIGNATURE || checksum !== checksumOf(bytes)) return undefined;
  if (areaBytes < HEADER_SIZE || areaBytes > sizeBytes || areaBytes % PAGE_SIZE !== 0) return undefined;
  return { design, areaBytes, pageSize, structPageSize, release };
}

export function formatPageArea(area: PageArea): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE);
  HEADER.encode({ ...area, signature: SIGNATURE, areaBytes: BigInt(area.areaBytes), checksum: 0n }, bytes);
  HEADER.encode({ ...area, signature: SIGNATURE, areaBytes: BigInt(area.areaBytes), checksum: checksumOf(bytes) }, bytes);
  return bytes;
}

function checksumOf(bytes: Uint8Array): bigint {
  const copy = bytes.slice();
  copy.fill(0, 4088);
  return fletcher64(copy);
}

/**
 * Take the last `areaBytes` of a device for a design: check what is there, wipe what is ours, and write the header.
 * @throws KernelError ENOSPC if the device is no larger, EOPNOTSUPP if another kernel made the area that is there, EBUSY if there are bytes
 * that are nobody's; `pmem.page_area` overrides the last two
 */
export function takePageArea(host: PageHost, device: DesignDevice, design: string, areaBytes: number): void {
  const { name, start, sizeBytes } = device;
  if (areaBytes >= sizeBytes) {
    throw new KernelError('ENOSPC', `${name}: ${design} needs ${binarySize(areaBytes)} at the end of a device of ${binarySize(sizeBytes)}`);
  }
  const wanted: PageArea = { design, areaBytes, pageSize: PAGE_SIZE, structPageSize: STRUCT_PAGE_SIZE, release: host.release.text };
  const policy = device.options.pageArea ?? 'check';
  const found = readPageArea(host, device);
  if (found && policy === 'check') checkSameKernel(name, found, wanted);
  const foreignEnd = sizeBytes - (found?.areaBytes ?? 0);
  if (policy !== 'overwrite') checkZeros(host, device, sizeBytes - areaBytes, foreignEnd);
  const from = sizeBytes - Math.max(areaBytes, found?.areaBytes ?? 0);
  host.memory.clear(physAdd(start, from), sizeBytes - from);
  writeHeader(host, physAdd(start, sizeBytes - HEADER_SIZE), formatPageArea(wanted));
}

/** A disk is about to show all of a device as data: an area that a design has left there is wiped. */
export function wipePageArea(host: PageHost, device: Pick<DesignDevice, 'start' | 'sizeBytes'>): void {
  const found = readPageArea(host, device);
  if (found) host.memory.clear(physAdd(device.start, device.sizeBytes - found.areaBytes), found.areaBytes);
}

function checkSameKernel(name: string, found: PageArea, wanted: PageArea): void {
  const differ = (['pageSize', 'structPageSize', 'release'] as const).find((key) => found[key] !== wanted[key]);
  if (differ === undefined) return;
  const what = { pageSize: 'page size', structPageSize: 'struct page size', release: 'kernel' }[differ];
  throw new KernelError(
    'EOPNOTSUPP',
    `${name}: the struct pages at its end were laid out for ${what} ${found[differ]}, and this kernel's is ${wanted[differ]}: pmem.page_area=rebuild makes them anew`,
  );
}

/** Is `[from, end)` of a device all zeros? Memory that was never written is not looked at. */
function checkZeros({ memory }: PageHost, { name, start }: DesignDevice, from: number, end: number): void {
  for (const nr of memory.presentChunks(physAdd(start, from), end - from)) {
    const at = Math.max(start + from, nr * CHUNK_SIZE);
    const next = Math.min(start + end, (nr + 1) * CHUNK_SIZE);
    const bytes = memory.peekChunk(nr)?.subarray(at - nr * CHUNK_SIZE, next - nr * CHUNK_SIZE);
    const used = bytes ? firstNonZero(bytes) : -1;
    if (used < 0) continue;
    const offset = at + used - start;
    throw new KernelError(
      'EBUSY',
      `${name}: there are data at byte ${hex(offset)} (${binarySize(start + end - at - used)} before the end of what its struct pages need, ${hex(from)}-${hex(end - 1)}): pmem.page_area=overwrite takes it all the same`,
    );
  }
}

/** The index of the first byte that is not zero, or -1: by words, as there may be gigabytes of zeros. Whole frames only. */
function firstNonZero(bytes: Uint8Array): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let at = 0;
  while (at < words.length && words[at] === 0) at++;
  if (at === words.length) return -1;
  return bytes.findIndex((byte, i) => i >= at * 4 && byte !== 0);
}

/** By cached stores that are written back, so that a header is there before what it speaks of. */
function writeHeader({ cpu }: PageHost, at: PhysAddr, bytes: Uint8Array): void {
  const mapping = cpu.map(at, HEADER_SIZE, 'WB');
  try {
    mapping.writeFlushCache(0, bytes, 0, bytes.length);
    cpu.sfence();
  } finally {
    cpu.unmap(mapping);
  }
}
