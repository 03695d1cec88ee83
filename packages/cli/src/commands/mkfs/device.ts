/**
 * A device as those who make file systems see it: its size, its sectors, whether it is in use. Mirrors what lib/ext2fs/ismounted.c and libblkid's
 * topology tell them.
 */
import type { BlockStore } from '@holdfast/fs';
import { type BlockFile, type VfsBlockDevice, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import type { CommandIo } from '../../console/command.js';
import { textAt } from '../../facts/sysfs.js';
import { mountLines } from '../mount.js';

export interface MkfsDevice {
  readonly path: string;
  readonly sizeBytes: number;
  readonly logicalBlockSize: number;
  readonly physicalBlockSize: number;
  /** Bytes; 0 if there is none to speak of. */
  readonly minIo: number;
  readonly optIo: number;
  /** By how many bytes its start misses a physical block. */
  readonly alignmentOffset: number;
  readonly isDax: boolean;
  readonly isRotational: boolean;
  readonly isMounted: boolean;
  readonly isBusy: boolean;
  readonly isReadOnly: boolean;
  /** Open for writing, through the page cache, and write what is dirty in the end. @throws KernelError EIO */
  write<T>(use: (store: BlockStore) => T): T;
  read(at: number, length: number): Uint8Array;
}

/** undefined for what is no block device. @throws KernelError ENOENT … */
export function mkfsDevice(io: CommandIo, path: string): MkfsDevice | undefined {
  const resolved = io.resolve(path);
  const { node } = resolvePath(io.root, resolved);
  if (node.kind !== 'block') return undefined;
  const sys = (attribute: string): number =>
    Number(
      textAt(io.root, `/sys/class/block/${node.bdev.name}/queue/${attribute}`) ??
        textAt(io.root, `/sys/block/${node.bdev.disk.name}/queue/${attribute}`) ??
        0,
    );
  return withFile(node, (file) => ({
    path,
    sizeBytes: file.sizeBytes,
    logicalBlockSize: file.logicalBlockSize,
    physicalBlockSize: file.physicalBlockSize,
    minIo: sys('minimum_io_size'),
    optIo: sys('optimal_io_size'),
    alignmentOffset: Number(textAt(io.root, `/sys/class/block/${node.bdev.name}/alignment_offset`) ?? 0),
    isDax: sys('dax') === 1,
    isRotational: sys('rotational') === 1,
    isMounted: mountLines(io).some(({ source }) => source === resolved),
    isBusy: isHeld(node),
    isReadOnly: file.readOnly,
    write: (use) => withFile(node, (open) => {
      const result = use(storeOf(open));
      open.fsync();
      return result;
    }),
    read: (at, length) => withFile(node, (open) => readFrom(open, at, length)),
  }));
}

function withFile<T>(node: VfsBlockDevice, use: (file: BlockFile) => T): T {
  const file = node.open();
  try {
    return use(file);
  } finally {
    file.close();
  }
}

function isHeld(node: VfsBlockDevice): boolean {
  try {
    node.open({ exclusive: 'mkfs' }).close();
    return false;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EBUSY') return true;
    throw error;
  }
}

function readFrom(file: BlockFile, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const count = file.pread(bytes.subarray(done), at + done);
    if (count === 0) break;
    done += count;
  }
  return bytes;
}

function storeOf(file: BlockFile): BlockStore {
  const write = (at: number, bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length;) done += file.pwrite(bytes.subarray(done), at + done);
  };
  const zeros = new Uint8Array(2 ** 20);
  return {
    sizeBytes: file.sizeBytes,
    read: (at, length) => readFrom(file, at, length),
    write,
    zero(at, length) {
      for (let done = 0; done < length; done += zeros.length) write(at + done, zeros.subarray(0, Math.min(zeros.length, length - done)));
    },
  };
}
