/**
 * The block layer's records, which point at each other: a bio, the device it is for, the disk behind that, and the disk's queue.
 * Mirrors include/linux/blk_types.h and include/linux/blkdev.h. What works on them lives in the file named after each.
 *
 * Invariant: a sector is 512 bytes everywhere here, whatever the logical block size of the disk.
 */
import type { Attribute, KernelRelease, Pfn, Printk, PrintkRatelimited, Sector } from '@holdfast/lib';
import type { Device } from '@holdfast/driver-core';
import type { AddressSpace, DirectPages, PageCache } from '@holdfast/mm';
import type { BlkStatus } from './blk-status.js';
import type { QueueLimits } from './queue-limits.js';

/** The low 8 bits of {@link Bio.opf}. An odd operation moves data to the device. */
export const REQ_OP = {
  READ: 0,
  WRITE: 1,
  FLUSH: 2,
  DISCARD: 3,
  SECURE_ERASE: 5,
  ZONE_APPEND: 7,
  WRITE_ZEROES: 9,
  ZONE_OPEN: 11,
  ZONE_CLOSE: 13,
  ZONE_FINISH: 15,
  ZONE_RESET: 17,
  ZONE_RESET_ALL: 19,
  DRV_IN: 34,
  DRV_OUT: 35,
} as const;

const REQ_OP_MASK = 0xff;

/** The flags above the operation in {@link Bio.opf}: the bits that mean something to code in this repository. */
export const REQ = {
  SYNC: 1 << 11,
  NOMERGE: 1 << 14,
  /** Durable before the bio completes. */
  FUA: 1 << 17,
  /** Everything completed before is durable before this bio's own data is written. */
  PREFLUSH: 1 << 18,
  /** Fail rather than wait. */
  NOWAIT: 1 << 21,
} as const;

/** {@link Bio.flags}. */
export const BIO = {
  /** Shares its table with another bio. */
  CLONED: 1 << 1,
  /** Other bios must end before it can: see {@link Bio.remaining}. */
  CHAIN: 1 << 5,
  /** Its sector is already that of the whole disk. */
  REMAPPED: 1 << 11,
  /** Some of its frames have no struct page: only queues whose layers all take such bios get it (not in Linux, see pfn-io.ts). */
  PAGELESS: 1 << 16,
} as const;

export function opOf(opf: number): number {
  return opf & REQ_OP_MASK;
}

export function opIsWrite(opf: number): boolean {
  return (opf & 1) !== 0;
}

/** Does it ask for a flush before or after its data (op_is_flush)? */
export function opIsFlush(opf: number): boolean {
  return (opf & (REQ.FUA | REQ.PREFLUSH)) !== 0;
}

export type BioEndIo = (bio: Bio) => void;

/** Words of an entry in {@link Bio.vecs}, and which is which. */
export const VEC = { WORDS: 4, PFN: 0, LEN: 1, OFFSET: 2, FLAGS: 3 } as const;

/**
 * The unit of I/O: an operation on consecutive sectors of a device, and the memory it reads or fills.
 *
 * The memory is a table of bvecs: LEN bytes from byte OFFSET of frame PFN on, which may reach over any number of physically consecutive
 * frames, and FLAGS, those of a pfn_t: 0 for RAM. Drivers walk it by a copy of the position (`bvec.ts`), never by changing it. One flat array
 * rather than three: a bio's data sweeps through the host's cache, and each object that has to come back into it costs a 4 KiB I/O some nanoseconds.
 */
export interface Bio {
  /** Link in the list of whoever holds the bio now. */
  next: Bio | undefined;
  bdev: BlockDevice | undefined;
  /** An operation of {@link REQ_OP} and flags of {@link REQ}. */
  opf: number;
  /** Flags of {@link BIO}. */
  flags: number;
  status: BlkStatus;
  /** How many ends are still missing: its own, and one for each bio chained to it. Counts only while CHAIN is set. */
  remaining: number;

  /** Position: the next sector, the bytes left, the table entry and the bytes of it that are done. */
  sector: Sector;
  /** At most 2^32 - 1. */
  sizeBytes: number;
  idx: number;
  bvecDone: number;

  vcnt: number;
  readonly maxVecs: number;
  /** Entry `i` is the words from `i * VEC.WORDS` on. */
  readonly vecs: Float64Array;

  /** Called once, when the bio has ended; it may run before submitBio returns. The bio is the caller's again from here. */
  endIo: BioEndIo | undefined;
  /** For whoever set `endIo`. */
  private: unknown;
}

/** A whole disk, or a partition of it: what /dev/pmem0 and /dev/pmem0p1 name. */
export interface BlockDevice {
  readonly name: string;
  readonly disk: Gendisk;
  /** 0 for the whole disk. */
  readonly partno: number;
  readonly major: number;
  readonly minor: number;
  readonly startSector: Sector;
  nrSectors: number;
  /** As BLKROSET sets it; the disk's own state comes on top, see {@link Gendisk.readOnly}. */
  readOnly: boolean;
  /** What the table calls a partition. */
  readonly label?: string;
  /** How often it is open; a partition that is open counts as one for its disk. */
  openers: number;
  /** Who claimed it for itself, such as a file system that is mounted (bd_holder). */
  holder: string | undefined;
  /** What I/O it has seen while `iostats` was on: see io-acct.ts. */
  readonly stats: DiskStats;
  /** What is cached of it, from the first open to the last close. Each partition has its own, which its disk's does not know of. */
  mapping: AddressSpace | undefined;
}

/** What a driver gives for its disk. Errors of I/O are statuses of bios; nothing here throws. */
export interface BlockDeviceOperations {
  /** Carry the bio out and end it with bioEndIo, at once or later. Sectors are those of the whole disk. */
  submitBio(bio: Bio): void;
  /** Move one page without a bio. What does not succeed is tried again with one. */
  rwPage?(bdev: BlockDevice, sector: Sector, pfn: Pfn, op: number): BlkStatus;
  /**
   * How many sectors from `sector` on are alike, at most `nrSectors`: positive where data may be, negative where nothing was ever written
   * and zeros are read. Reads nothing. Without it all may be data. (SBC-4: GET LBA STATUS.)
   */
  lbaStatus?(sector: Sector, nrSectors: number): number;
  /** Its memory is what the page cache holds of it, instead of copies; offsets are those of the whole disk. */
  readonly directPages?: DirectPages;
}

export interface RequestQueue {
  readonly limits: QueueLimits;
  /** The device has a volatile write cache: flushes reach the driver. Root may turn it off and on. */
  writeCache: boolean;
  fua: boolean;
  dax: boolean;
  nowait: boolean;
  rotational: boolean;
  addRandom: boolean;
  ioStats: boolean;
  stableWrites: boolean;
  readAheadKb: number;
  /** 0, 1 or 2, as /sys shows them. */
  nomerges: number;
  rqAffinity: number;
  /** What writeback is throttled to, in microseconds; undefined until somebody sets it. */
  wbtLatUsec: number | undefined;
  /** Set by declareIoLayers: all layers take bios over frames without struct pages. */
  takesPageless: boolean;
  /** Who handles the memory of this queue's bios, behind the layers that every bio passes. */
  ioLayers: readonly IoLayer[];
}

/** A part of the way of a bio to its device, and whether it can do without struct pages. */
export interface IoLayer {
  readonly name: string;
  readonly takesPageless: boolean;
  /** It refuses a segment (what of a bio lies in one frame) that is not whole logical blocks. */
  readonly wholeBlocks?: boolean;
  /** What it does with the memory, for people. */
  readonly does: string;
}

/** A named directory of attributes below a device's own; '' is the device's directory itself (struct attribute_group). */
export interface AttributeGroup {
  readonly name: string;
  readonly attributes: readonly Attribute[];
}

/** Counts of a device's I/O. */
export type DiskStats = Float64Array;

/** Bytes since the disk was added: what users wrote to it as files, and what of that came to the driver. */
export interface DiskTraffic {
  /** Through files of the disk and its partitions, buffered or direct. */
  userRead: number;
  userWritten: number;
  /** In bios. Less than the user wrote if the page cache took overwrites in; more if small writes became whole pages. */
  deviceRead: number;
  deviceWritten: number;
}

export interface Gendisk {
  readonly name: string;
  /** One higher than that of the disk before it, whichever has gone since: no two disks of a boot have the same (diskseq). */
  readonly diskseq: number;
  readonly traffic: DiskTraffic;
  readonly block: Block;
  readonly ops: BlockDeviceOperations;
  readonly queue: RequestQueue;
  /** The whole disk. */
  readonly part0: BlockDevice;
  /** Partitions by number. */
  readonly partitions: Map<number, BlockDevice>;
  /** Minors of its own, the disk's included; 0 when all come from the extended numbers. */
  readonly minors: number;
  /** Attributes that the driver adds, such as `badblocks`. */
  readonly groups: readonly AttributeGroup[];
  /** The device it is the disk of; undefined for a virtual one. */
  readonly parent: Device | undefined;
  /** The disk as such is read-only (set_disk_ro): BLKROSET cannot lift it. */
  readOnly: boolean;
  /** Removed: what still comes in ends with IOERR. */
  dead: boolean;
}

/** Where pages for the block layer's own I/O come from. */
export interface PageSource {
  /** 2^order frames that follow each other and start at a multiple of that. @throws KernelError ENOMEM */
  allocPages(order: number): Pfn;
  freePages(first: Pfn, order: number): void;
}

/** What the block layer needs of the kernel. */
export interface BlockNeeds {
  readonly printk: Printk;
  /** The bytes of a page frame (PhysicalMemory). */
  readonly memory: { frame(pfn: number): Uint8Array };
  readonly pages: PageSource;
  /** Buffered I/O goes through it; without one, straight to the device. */
  readonly pageCache?: PageCache;
  /** Virtual nanoseconds, for lines that the log takes only so often. */
  readonly clock: { readonly now: number };
  readonly release?: KernelRelease;
  /** The name of the running task, as it appears in the log (current->comm). */
  readonly comm?: () => string;
  /** `gpt` was on the command line: trust a GPT without protective MBR, and look for the alternate one. */
  readonly forceGpt?: boolean;
}

/** One kernel's block layer. Made by createBlock. */
export interface Block {
  readonly needs: BlockNeeds;
  /** In the order in which they were added. */
  readonly disks: Gendisk[];
  /** Names of the majors that are taken, as /proc/devices lists them. */
  readonly majors: Map<number, string>;
  /** The number of the disk that was made last. */
  lastDiskseq: number;
  /** Minors of the extended major that are taken. */
  readonly extMinors: Set<number>;
  /** Lines about I/O behind the end of a device. */
  readonly printkBeyondEnd: PrintkRatelimited;
  /** Lines about pages that could not be read or written. */
  readonly printkBufferError: PrintkRatelimited;
  /** Bios submitted while a driver's submitBio runs: see submit.ts. */
  readonly pending: PendingBios;
}

/** Bios that wait for the driver above them to return (current->bio_list). */
export interface PendingBios {
  /** A driver's submitBio is running. */
  active: boolean;
  /** Submitted by the one that runs now. */
  fresh: BioList;
  /** Submitted by the ones before. */
  older: BioList;
}

/** First in, first out, through {@link Bio.next}. */
export interface BioList {
  head: Bio | undefined;
  tail: Bio | undefined;
}
