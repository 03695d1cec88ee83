/**
 * A namespace's bytes, as the formats on them read and write: info blocks, BTT arenas.
 * Mirrors drivers/nvdimm/claim.c: nsio_rw_bytes, behind nvdimm_read_bytes and nvdimm_write_bytes.
 *
 * Invariant: after {@link writeBytes} or {@link zeroBytes} returns, the bytes survive a power cut. Between two flushes their order is open.
 */
import { KernelError } from '@holdfast/lib';
import type { Range } from '@holdfast/lib';

/** What a format needs of the namespace that it lies on. Offsets and lengths in bytes. */
export interface NamespaceIo {
  readonly sizeBytes: number;
  /** Fill `target` from `offset` on. @throws KernelError EIO where the media has lost what was there */
  read(offset: number, target: Uint8Array): void;
  /**
   * Store `source` at `offset`; durable after the next flush. Lost bytes under it are made good, if it is in whole sectors and not
   * `atomic`: clearing may sleep, and a BTT's I/O must not.
   * @throws KernelError EIO if lost bytes stay; the store is done nevertheless
   */
  write(offset: number, source: Uint8Array, atomic?: boolean): void;
  /** Make all that was written durable. */
  flush(): void;
  /** Make `[offset, offset + length)` zeros, for media that can do it faster than by writing each. */
  zero?(offset: number, length: number): void;
  /** The parts of `[offset, offset + length)` that the media is known to have lost; none if left out. Whole-block writes repair them. */
  badRanges?(offset: number, length: number): readonly Range[];
}

const ZERO_CHUNK = 2 ** 21;

/** @throws KernelError EFAULT past the end, EIO on lost media */
export function readBytes(io: NamespaceIo, offset: number, target: Uint8Array): void {
  checkRange(io, offset, target.length);
  io.read(offset, target);
}

/** Write, and flush. @throws KernelError as {@link readBytes} */
export function writeBytes(io: NamespaceIo, offset: number, source: Uint8Array): void {
  checkRange(io, offset, source.length);
  io.write(offset, source);
  io.flush();
}

/** {@link writeBytes} in the middle of a BTT's I/O (NVDIMM_IO_ATOMIC): lost bytes are not made good. @throws KernelError EIO over lost bytes */
export function writeBytesAtomic(io: NamespaceIo, offset: number, source: Uint8Array): void {
  checkRange(io, offset, source.length);
  io.write(offset, source, true);
  io.flush();
}

/** Zero, and flush. @throws KernelError as {@link readBytes} */
export function zeroBytes(io: NamespaceIo, offset: number, length: number): void {
  checkRange(io, offset, length);
  if (io.zero) io.zero(offset, length);
  else {
    const zeros = new Uint8Array(Math.min(length, ZERO_CHUNK));
    for (let at = 0; at < length; at += ZERO_CHUNK) io.write(offset + at, zeros.subarray(0, Math.min(ZERO_CHUNK, length - at)));
  }
  io.flush();
}

function checkRange({ sizeBytes }: NamespaceIo, offset: number, length: number): void {
  if (offset < 0 || offset + length > sizeBytes) {
    throw new KernelError('EFAULT', `request out of range: ${length} bytes at ${offset} of a namespace of ${sizeBytes}`);
  }
}
