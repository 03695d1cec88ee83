/**
 * Which sectors of a pmem disk were ever written: its chunks of physical memory tell. Linux's driver has no such thing; a disk that answers
 * GET LBA STATUS (SBC-4, 5.8) does.
 */
import { SECTOR_SIZE } from '@holdfast/lib';
import type { BlockDeviceOperations } from '@holdfast/block';
import { type Mapping, type PhysicalMemory, chunkRun } from '@holdfast/machine';

export interface LbaStatusNeeds {
  readonly memory: Pick<PhysicalMemory, 'mayHold'>;
  readonly mapping: Mapping;
  /** Bytes from the start of the mapping to sector 0. */
  readonly dataOffset: number;
}

export function pmemLbaStatus({ memory, mapping, dataOffset }: LbaStatusNeeds): NonNullable<BlockDeviceOperations['lbaStatus']> {
  const mayHold = (nr: number): boolean => memory.mayHold(nr);
  return (sector, nrSectors) => chunkRun(mapping.start + dataOffset + sector * SECTOR_SIZE, nrSectors * SECTOR_SIZE, mayHold) / SECTOR_SIZE;
}
