/**
 * A disk over a BTT: each sector is written whole or not at all. Mirrors drivers/nvdimm/btt.c: btt_blk_init, btt_submit_bio, btt_do_bvec.
 *
 * Invariant: a bio is carried out and ended before submitBio returns, sector by sector; each is durable when it is done.
 * Differs from Linux: metadata of sectors larger than 512 or 4096 bytes is left as it is; nobody here makes protection information.
 */
import { KERN, KernelError, PAGE_SIZE, SECTOR_SIZE, readOnly, releaseAtLeast } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import {
  BLK_DEF_MAX_SECTORS, BLK_STS, UINT_MAX, addDisk, bioEndWith, createBvecIter, createQueue, declareIoLayers, nextSegment, opIsWrite,
  setLogicalBlockSize, setMaxHwSectors, startIter,
  type AttributeGroup, type BlkStatus, type BlockDeviceOperations, type Gendisk, type IoLayer, type RequestQueue,
} from '@holdfast/block';
import { type Btt, readSector, writeSector } from '@holdfast/nvdimm';
import type { PmemNeeds } from './pmem-needs.js';

const BTT_IO_LAYER: IoLayer = { name: 'btt', takesPageless: true, wholeBlocks: true, does: 'copies sectors by frame number' };
/** Linux checksums a bio's pages before it hands them on, and maps each by its struct page (bio_integrity_process). */
const INTEGRITY_IO_LAYER: IoLayer = { name: 'integrity', takesPageless: false, does: 'maps pages by struct page, to checksum them' };

/** Show the BTT as a disk. @throws KernelError EEXIST */
export function addBttDisk(
  needs: Pick<PmemNeeds, 'block' | 'memory' | 'printk' | 'release'>,
  btt: Btt,
  { name, parent }: { name: string; parent: Device },
): Gendisk {
  return addDisk(needs.block, {
    name,
    parent,
    ops: bttOperations(needs, btt, `nd_pmem ${parent.name}`),
    queue: bttQueue(needs, btt),
    nrSectors: btt.nrSectors * (btt.sectorSize / SECTOR_SIZE),
    groups: btt.metadataSize > 0 ? [integrityGroup(btt)] : [],
  });
}

function bttOperations({ memory, printk }: Pick<PmemNeeds, 'memory' | 'printk'>, btt: Btt, who: string): BlockDeviceOperations {
  const iter = createBvecIter();
  const { sectorSize } = btt;

  function transfer(write: boolean, sector: number, pfn: number, offset: number, length: number): BlkStatus {
    if (length < sectorSize || length % sectorSize !== 0) {
      printk(`${who}: unaligned bio segment (len: ${length})`, KERN.err);
      return BLK_STS.IOERR;
    }
    const frame = memory.frame(pfn);
    try {
      for (let done = 0; done < length; done += sectorSize) {
        const data = frame.subarray(offset + done, offset + done + sectorSize);
        const lba = (sector * SECTOR_SIZE + done) / sectorSize;
        if (write) writeSector(btt, lba, data);
        else readSector(btt, lba, data);
      }
      return BLK_STS.OK;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      printk(`${who}: io error in ${write ? 'WRITE' : 'READ'} sector ${sector}, len ${length},`, KERN.err);
      return BLK_STS.IOERR;
    }
  }

  return {
    submitBio(bio) {
      const write = opIsWrite(bio.opf);
      let status: BlkStatus = BLK_STS.OK;
      startIter(iter, bio);
      while (status === BLK_STS.OK && nextSegment(iter, bio)) status = transfer(write, iter.sector, iter.pfn, iter.offset, iter.len);
      bioEndWith(bio, status);
    },
    rwPage: (_bdev, sector, pfn, op) => transfer(opIsWrite(op), sector, pfn, 0, PAGE_SIZE),
  };
}

function bttQueue({ release }: Pick<PmemNeeds, 'release'>, { sectorSize, metadataSize }: Btt): RequestQueue {
  const queue = createQueue();
  setLogicalBlockSize(queue.limits, sectorSize);
  setMaxHwSectors(queue.limits, UINT_MAX, releaseAtLeast(release, 4, 3) ? BLK_DEF_MAX_SECTORS : Infinity);
  queue.rotational = false;
  queue.stableWrites = metadataSize > 0;
  if (metadataSize > 0) queue.limits.maxIntegritySegments = 1; // nd_integrity_init
  declareIoLayers(queue, metadataSize > 0 ? [BTT_IO_LAYER, INTEGRITY_IO_LAYER] : [BTT_IO_LAYER]);
  return queue;
}

/** Room for protection information that nobody computes: the profile `nop`. */
function integrityGroup({ sectorSize, metadataSize }: Btt): AttributeGroup {
  return {
    name: 'integrity',
    attributes: [
      readOnly('device_is_integrity_capable', () => 0),
      readOnly('format', () => 'nop'),
      readOnly('protection_interval_bytes', () => sectorSize),
      readOnly('read_verify', () => 1),
      readOnly('tag_size', () => metadataSize),
      readOnly('write_generate', () => 1),
    ],
  };
}
