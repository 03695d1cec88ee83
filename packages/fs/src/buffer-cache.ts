/**
 * Blocks of metadata in memory: read once, changed here, and written when somebody asks. Mirrors what fs/buffer.c is to a file system.
 *
 * Invariant: what was written is what is read, and reaches the device with {@link Buffers.flush}, block by block, ascending.
 * Differs from Linux: buffers are no pages of the device's own cache, and lie outside of the simulated memory. Who reads the device itself sees
 * them when they have been flushed.
 */
import { type BlockDevice, bdevSizeBytes, issueFlush, readDirect, writeDirect } from '@holdfast/block';
import { KernelError, roundDown } from '@holdfast/lib';
import { filemapWriteAndWait, invalidateInodePages2 } from '@holdfast/mm';
import type { BlockStore } from './block-store.js';

export interface Buffers extends BlockStore {
  /** Blocks that are newer than the device. */
  readonly dirtyBlocks: number;
  /** Numbers and bytes of those, ascending: what a journal takes. The bytes are not to be changed. */
  dirty(): readonly (readonly [block: number, bytes: Uint8Array])[];
  /** Write what is dirty. @throws KernelError EIO; what failed stays dirty */
  flush(): void;
  /** Everything flushed is durable when it returns. @throws KernelError EIO */
  issueFlush(): void;
  /** These blocks will be written by others: forget them, dirty or not, and whatever the device's page cache holds of them. */
  forget(block: number, count: number): void;
}

/** Clean blocks that are kept. */
const MAX_CLEAN = 4096;

export function createBuffers(bdev: BlockDevice, blockSize: number): Buffers {
  const blocks = new Map<number, Uint8Array>();
  const dirty = new Set<number>();

  const cleanPageCache = (at: number, length: number): void => {
    const { mapping } = bdev;
    if (!mapping) return;
    filemapWriteAndWait(mapping, at, at + length);
    invalidateInodePages2(mapping, at, at + length);
  };
  const load = (block: number): Uint8Array => {
    const there = blocks.get(block);
    if (there) return there;
    if (blocks.size - dirty.size > MAX_CLEAN) for (const each of [...blocks.keys()]) if (!dirty.has(each)) blocks.delete(each);
    const at = block * blockSize;
    const bytes = new Uint8Array(blockSize);
    const length = Math.min(blockSize, bdevSizeBytes(bdev) - at);
    if (length <= 0) throw new KernelError('EIO', `${bdev.name}: block ${block} is behind its end`);
    if (bdev.mapping) filemapWriteAndWait(bdev.mapping, at, at + length);
    readDirect(bdev, bytes, at, length);
    blocks.set(block, bytes);
    return bytes;
  };
  const eachBlock = (at: number, length: number, use: (block: number, from: number, done: number, count: number) => void): void => {
    for (let done = 0; done < length;) {
      const from = (at + done) % blockSize;
      const count = Math.min(blockSize - from, length - done);
      use((at + done - from) / blockSize, from, done, count);
      done += count;
    }
  };
  const change = (block: number, from: number, count: number, edit: (bytes: Uint8Array) => void): void => {
    if (from === 0 && count === blockSize && !blocks.has(block)) blocks.set(block, new Uint8Array(blockSize));
    edit(load(block).subarray(from, from + count));
    dirty.add(block);
  };
  const ascending = (): number[] => [...dirty].sort((a, b) => a - b);

  return {
    get sizeBytes() {
      return bdevSizeBytes(bdev);
    },
    get dirtyBlocks() {
      return dirty.size;
    },
    read(at, length) {
      const target = new Uint8Array(length);
      eachBlock(at, length, (block, from, done, count) => target.set(load(block).subarray(from, from + count), done));
      return target;
    },
    write(at, bytes) {
      eachBlock(at, bytes.length, (block, from, done, count) => change(block, from, count, (part) => part.set(bytes.subarray(done, done + count))));
    },
    zero(at, length) {
      eachBlock(at, length, (block, from, _done, count) => change(block, from, count, (part) => part.fill(0)));
    },
    dirty: () => ascending().map((block) => [block, blocks.get(block)!] as const),
    flush() {
      const pending = ascending();
      for (const block of pending) {
        const at = block * blockSize;
        const length = Math.min(blockSize, roundDown(bdevSizeBytes(bdev) - at, 512));
        if (length <= 0) throw new KernelError('EIO', `${bdev.name}: block ${block} is behind its end`);
        cleanPageCache(at, length);
        writeDirect(bdev, blocks.get(block)!, at, length);
        dirty.delete(block);
      }
    },
    issueFlush: () => issueFlush(bdev),
    forget(block, count) {
      for (let each = block; each < block + count; each++) {
        blocks.delete(each);
        dirty.delete(each);
      }
      cleanPageCache(block * blockSize, count * blockSize);
    },
  };
}
