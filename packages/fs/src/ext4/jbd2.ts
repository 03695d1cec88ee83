/**
 * The journal's own superblock: big-endian, unlike all else of ext4. Mirrors include/linux/jbd2.h: struct journal_superblock_s.
 */
import { KernelError } from '@holdfast/lib';

const JBD2_MAGIC = 0xc03b3998;
const SUPERBLOCK_V2 = 4;

export interface JournalSuper {
  readonly blockSize: number;
  /** Blocks of the journal, this one included. */
  readonly blocks: number;
  readonly uuid: Uint8Array;
  /** The first block of the log in use; 0 if it is empty. */
  readonly start?: number;
}

/** The first block of an empty journal. */
export function encodeJournalSuper({ blockSize, blocks, uuid, start = 0 }: JournalSuper): Uint8Array {
  const block = new Uint8Array(blockSize);
  const view = new DataView(block.buffer);
  for (const [at, word] of [
    [0, JBD2_MAGIC], [4, SUPERBLOCK_V2], [12, blockSize], [16, blocks], [20, 1], [24, 1], [28, start], [64, 1],
  ] as const) view.setUint32(at, word);
  block.set(uuid, 48);
  return block;
}

/** @throws KernelError EINVAL if it is no journal superblock of version 2 */
export function decodeJournalSuper(block: Uint8Array): JournalSuper {
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  if (block.length < 1024 || view.getUint32(0) !== JBD2_MAGIC || view.getUint32(4) !== SUPERBLOCK_V2) {
    throw new KernelError('EINVAL', 'there is no journal superblock');
  }
  return { blockSize: view.getUint32(12), blocks: view.getUint32(16), uuid: block.slice(48, 64), start: view.getUint32(28) };
}
