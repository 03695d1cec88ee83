// The records: a bio, the device it is for, the disk behind it, the queue of that.
export {
  type AttributeGroup, type Bio, type BioEndIo, type Block, type BlockDevice, type BlockDeviceOperations, type BlockNeeds, type DiskTraffic, type Gendisk,
  type IoLayer, type PageSource, type RequestQueue,
  BIO, REQ, REQ_OP, VEC, opIsFlush, opIsWrite, opOf,
} from './blk-types.js';
// The unit of I/O, how its memory is walked, and how it ends.
export { BIO_MAX_VECS, allocBio, bioAddPage, bioAddPfn, bioChain, bioEndIo, bioEndWith, bioSectors, resetBio, reuseBio } from './bio.js';
export { type BvecIter, advanceBio, createBvecIter, nextBvec, nextSegment, startIter } from './bvec.js';
export { type BlkStatus, BLK_STS, blkStatusText, blkStatusToErrno, errnoToBlkStatus } from './blk-status.js';
export { submitBio, submitBioAsync, submitBioNoacct, submitBioWait } from './submit.js';
// What a device takes in one piece, and cutting a bio to it.
export {
  type QueueLimits,
  BLK_DEF_MAX_SECTORS, UINT_MAX, alignmentOffsetAt, defaultLimits, setLogicalBlockSize, setMaxHwSectors, setPhysicalBlockSize, stackLimits,
  stackingLimits,
} from './queue-limits.js';
export { bioSplitToLimits, maxIoSectors, splitBio, splitPoint } from './bio-split.js';
// The memory of an I/O as a device with DMA takes it.
export {
  type SgTable, SG_ENTRY_SIZE, SG_MAX_SINGLE_ALLOC, mapBiosToSg, sgAllocTable, sgJoin, sgPhys, sgSplit, sgTableFromPages,
} from './scatterlist.js';
// Memory without struct pages: its pfn_t, the lists of them, and which layers take it.
export { PFN, decodePfnT, encodePfnT, pfnHasPage, pfnIsDevmap } from './pfn-t.js';
export { readPfnSg, writePfnSg } from './pfn-scatterlist.js';
export { declareIoLayers, formatIoLayers, ioLayersOf, whoNeedsPages } from './pfn-io.js';
// What a driver registers.
export { BLOCK_EXT_MAJOR, createBlock, registerBlkdev, unregisterBlkdev } from './block.js';
export { type GendiskSpec, addDisk, createQueue, delDisk, markDiskDead } from './gendisk.js';
export { bdevReadOnly, bdevRwPage, bdevSizeBytes } from './block-device.js';
export { type Badblocks, badblocksAttribute, createBadblocks } from './badblocks.js';
// Partitions.
export { addPartition, deletePartition, partitionName, partitionsOf } from './partition.js';
export { type ParseResult, type ParsedPartition, type ParsedTable, type TableReader } from './partition-table.js';
export { type MbrPartition, encodeMbr, parseMsdos } from './partition-msdos.js';
export { type DiskPatch, type GptPartition, encodeGpt, parseGpt } from './partition-gpt.js';
// What users see: a device opened, /sys/block, /proc/partitions.
export { type BlockDeviceFile, type BlockOpenOptions, issueFlush, openBlockDevice, readDirect, writeDirect } from './block-file.js';
export { SWAP_HOLDER, blkdevGet, blkdevPut, evictDirectPages, invalidateBdev, syncBlockdev } from './bdev.js';
export { blockUevent, diskAttributeGroups, formatDiskstats, formatPartitions, partitionAttributes, traceAttributes } from './disk-attributes.js';
export { queueAttributes } from './queue-attributes.js';
