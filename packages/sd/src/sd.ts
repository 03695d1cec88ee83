/**
 * The disk driver over such a drive: bios become its commands. Mirrors what drivers/scsi/sd.c tells the block layer of a disk with a write
 * cache, DPOFUA, UNMAP and WRITE SAME.
 *
 * Invariant: a bio is carried out and ended before submitBio returns.
 */
import { KERN, PAGE_SIZE, type Printk, SECTOR_SIZE } from '@holdfast/lib';
import {
  type Bio, type Block, type BlkStatus, type Gendisk, BLK_STS, REQ, REQ_OP, addDisk, bioEndWith, createBvecIter, createQueue, declareIoLayers,
  delDisk, nextBvec,
  opIsWrite, opOf, registerBlkdev, setLogicalBlockSize, setMaxHwSectors, setPhysicalBlockSize, startIter, unregisterBlkdev,
} from '@holdfast/block';
import { CHUNK_SIZE, type PhysicalMemory } from '@holdfast/machine';
import type { Drive } from './drive.js';

/** SCSI disks have this major, and 16 minors each (include/uapi/linux/major.h: SCSI_DISK0_MAJOR). */
const SCSI_DISK0_MAJOR = 8;
const MINORS = 16;
const MAX_HW_SECTORS = 65_535;
/** What one trim or WRITE SAME takes: 4 GiB, less a block. */
const MAX_ZERO_SECTORS = 0x7f_fff8;

export interface SdNeeds {
  readonly block: Block;
  readonly memory: Pick<PhysicalMemory, 'chunk'>;
  readonly printk: Printk;
  /** Does the driver take bios of frames without struct pages? Default false, as of drivers that were not converted. */
  readonly byPfn?: boolean;
}

/** Give each drive its disk: sda, sdb, … The returned function flushes the drives and takes the disks away. */
export function attachDrives(drives: readonly Drive[], needs: SdNeeds): () => void {
  if (drives.length === 0) return () => {};
  registerBlkdev(needs.block, SCSI_DISK0_MAJOR, 'sd');
  const disks = drives.map((drive, index) => attachDrive(drive, index, needs));
  return () => {
    for (const disk of disks) delDisk(disk);
    for (const drive of drives) drive.flush(); // sd_shutdown: SYNCHRONIZE CACHE
    unregisterBlkdev(needs.block, SCSI_DISK0_MAJOR);
  };
}

function attachDrive(drive: Drive, index: number, { block, memory, printk, byPfn = false }: SdNeeds): Gendisk {
  const name = `sd${String.fromCharCode(97 + index)}`;
  const queue = createQueue();
  setMaxHwSectors(queue.limits, MAX_HW_SECTORS);
  setLogicalBlockSize(queue.limits, drive.sectorBytes);
  setPhysicalBlockSize(queue.limits, Math.max(drive.atomBytes, drive.sectorBytes));
  queue.limits.maxWriteZeroesSectors = MAX_ZERO_SECTORS;
  queue.limits.maxDiscardSectors = queue.limits.maxHwDiscardSectors = MAX_ZERO_SECTORS;
  queue.limits.discardGranularity = drive.atomBytes;
  queue.rotational = false;
  queue.writeCache = queue.fua = drive.writeCache;
  declareIoLayers(queue, [{ name: 'sd', takesPageless: byPfn, does: byPfn ? 'maps frames for DMA by number' : 'maps pages for DMA' }]);
  const { sizeBytes, sectorBytes } = drive;
  printk(
    `sd 0:0:${index}:0: [${name}] ${sizeBytes / sectorBytes} ${sectorBytes}-byte logical blocks: (${decimal(sizeBytes)}/${binary(sizeBytes)})`,
    KERN.notice,
  );
  printk(`sd 0:0:${index}:0: [${name}] Write cache: ${drive.writeCache ? 'enabled' : 'disabled'}, read cache: enabled, supports DPO and FUA`, KERN.notice);
  const disk = addDisk(block, {
    name,
    ops: { submitBio: sdSubmitBio(drive, memory), lbaStatus: (sector, nrSectors) => drive.run(sector * SECTOR_SIZE, nrSectors * SECTOR_SIZE) / SECTOR_SIZE },
    queue,
    nrSectors: sizeBytes / SECTOR_SIZE,
    numbers: { major: SCSI_DISK0_MAJOR, firstMinor: index * MINORS, minors: MINORS },
  });
  printk(`sd 0:0:${index}:0: [${name}] Attached SCSI disk`, KERN.notice);
  return disk;
}

function sdSubmitBio(drive: Drive, memory: Pick<PhysicalMemory, 'chunk'>): (bio: Bio) => void {
  const iter = createBvecIter();

  const transfer = (bio: Bio): BlkStatus => {
    const write = opIsWrite(bio.opf);
    const fua = (bio.opf & REQ.FUA) !== 0;
    startIter(iter, bio);
    while (nextBvec(iter, bio)) {
      const addr = iter.pfn * PAGE_SIZE + iter.offset;
      const at = iter.sector * SECTOR_SIZE;
      for (let done = 0; done < iter.len; ) {
        const within = (addr + done) % CHUNK_SIZE;
        const count = Math.min(CHUNK_SIZE - within, iter.len - done);
        const chunk = memory.chunk((addr + done - within) / CHUNK_SIZE);
        if (write) drive.write(at + done, chunk, within, count, fua);
        else drive.read(at + done, chunk, within, count);
        done += count;
      }
    }
    return BLK_STS.OK;
  };

  return (bio) => {
    if ((bio.opf & REQ.PREFLUSH) !== 0) drive.flush();
    const op = opOf(bio.opf);
    if (op === REQ_OP.DISCARD || op === REQ_OP.WRITE_ZEROES) {
      drive.zero(bio.sector * SECTOR_SIZE, bio.sizeBytes);
      return bioEndWith(bio, BLK_STS.OK);
    }
    bioEndWith(bio, transfer(bio));
  };
}

/** `1.07 GB`, three digits, as string_get_size(…, STRING_UNITS_10) gives them. */
function decimal(bytes: number): string {
  return threeDigits(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB']);
}

function binary(bytes: number): string {
  return threeDigits(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);
}

function threeDigits(bytes: number, step: number, units: readonly string[]): string {
  let value = bytes;
  let unit = 0;
  for (; value >= step; unit++) value /= step;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${unit === 0 ? value : value.toFixed(digits)} ${units[unit]}`;
}
