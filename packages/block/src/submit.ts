/**
 * The way of a bio from its owner to the driver. Mirrors block/blk-core.c: submit_bio, submit_bio_noacct, __submit_bio_noacct.
 *
 * Invariant: a bio handed in here ends exactly once, with a status; nothing is thrown for what an I/O meets.
 * Invariant: at most one driver's submitBio of a block layer is on the stack; what it submits waits until it returns.
 * Differs from Linux: fault injection, cgroups, throttling and plugging are not there.
 */
import { BugError, KERN, SECTOR_SIZE } from '@holdfast/lib';
import type { Sector } from '@holdfast/lib';
import { bioEndIo, bioEndWith, bioSectors } from './bio.js';
import { BLK_STS } from './blk-status.js';
import type { BlkStatus } from './blk-status.js';
import { BIO, REQ, REQ_OP, opIsFlush, opIsWrite, opOf } from './blk-types.js';
import type { Bio, BioList, BlockDevice, Gendisk, PendingBios, RequestQueue } from './blk-types.js';
import { bdevReadOnly } from './block-device.js';
import { submitAccounted } from './io-acct.js';

/** Hand a bio to its device. It ends by `endIo`, which may run before this returns. */
export function submitBio(bio: Bio): void {
  const traffic = bio.bdev?.disk.traffic;
  if (traffic !== undefined) {
    const op = opOf(bio.opf);
    if (op === REQ_OP.READ) traffic.deviceRead += bio.sizeBytes;
    else if (op === REQ_OP.WRITE) traffic.deviceWritten += bio.sizeBytes;
  }
  submitBioNoacct(bio);
}

/** The same for bios made by a driver, such as the rest of a split: they were counted when their parent was submitted. */
export function submitBioNoacct(bio: Bio): void {
  const bdev = bio.bdev;
  if (bdev === undefined) throw new BugError('submitBio: the bio has no device');
  const { disk } = bdev;
  const { opf } = bio;
  if ((opf & REQ.NOWAIT) !== 0 && !disk.queue.nowait) return bioEndWith(bio, BLK_STS.NOTSUPP);
  if ((bio.flags & BIO.PAGELESS) !== 0 && !disk.queue.takesPageless) return bioEndWith(bio, BLK_STS.NOTSUPP);
  if (opIsWrite(opf) && bdevReadOnly(bdev)) warnReadOnly(bio, bdev);
  if ((bio.flags & BIO.REMAPPED) === 0) {
    if (isBeyondEnd(bio, bdev)) return refuseBeyondEnd(bio, bdev);
    if (bdev.partno !== 0) remapToDisk(bio, bdev);
  }
  if (opIsFlush(opf) && !disk.queue.writeCache) {
    bio.opf &= ~(REQ.PREFLUSH | REQ.FUA);
    if (bio.sizeBytes === 0) return bioEndIo(bio);
  }
  if (opOf(opf) > REQ_OP.WRITE && !isSupported(opOf(opf), disk.queue)) return bioEndWith(bio, BLK_STS.NOTSUPP);

  const { pending } = disk.block;
  if (pending.active) push(pending.fresh, bio);
  else dispatch(pending, bio, disk);
}

/** Submit a bio and return how it ended. For devices that complete at once, as all that copy memory do. */
export function submitBioWait(bio: Bio): BlkStatus {
  let ended = false;
  bio.endIo = () => {
    ended = true;
  };
  submitBio(bio);
  // Linux would sleep here; nothing else can run in this simulator until we return.
  if (!ended) throw new BugError(`submitBioWait: ${bio.bdev!.name} has not completed the bio at once, or a driver called this`);
  return bio.status;
}

/** The same for any device and for callers off the data path: a promise of how the bio ended. */
export function submitBioAsync(bio: Bio): Promise<BlkStatus> {
  return new Promise((resolve) => {
    bio.endIo = () => resolve(bio.status);
    submitBio(bio);
  });
}

function warnReadOnly(bio: Bio, bdev: BlockDevice): void {
  if (opIsFlush(bio.opf) && bio.sizeBytes === 0) return;
  bdev.disk.block.needs.printk(`Trying to write to read-only block-device ${bdev.name}`, KERN.warning);
}

/** A device without a size counts as one of unknown size; sums of sectors are exact, so that one comparison does. */
function isBeyondEnd({ sector, sizeBytes }: Bio, { nrSectors }: BlockDevice): boolean {
  return sector + sizeBytes / SECTOR_SIZE > nrSectors && sizeBytes >= SECTOR_SIZE && nrSectors !== 0;
}

function refuseBeyondEnd(bio: Bio, bdev: BlockDevice): void {
  const { needs, printkBeyondEnd } = bdev.disk.block;
  const where = `${bdev.name}: rw=${bio.opf}, sector=${bio.sector}, nr_sectors = ${bioSectors(bio)} limit=${bdev.nrSectors}`;
  printkBeyondEnd([`${needs.comm?.() ?? 'swapper/0'}: attempt to access beyond end of device`, where]);
  bioEndWith(bio, BLK_STS.IOERR);
}

/** From sectors of a partition to those of its disk (blk_partition_remap). */
function remapToDisk(bio: Bio, bdev: BlockDevice): void {
  if (bio.sizeBytes !== 0) bio.sector = (bio.sector + bdev.startSector) as Sector;
  bio.flags |= BIO.REMAPPED;
}

function isSupported(op: number, { limits }: RequestQueue): boolean {
  switch (op) {
    case REQ_OP.DISCARD:
      return limits.maxDiscardSectors > 0;
    case REQ_OP.SECURE_ERASE:
      return limits.maxSecureEraseSectors > 0;
    case REQ_OP.WRITE_ZEROES:
      return limits.maxWriteZeroesSectors > 0;
    case REQ_OP.FLUSH: // not for bios: a flush is an empty write with PREFLUSH
    case REQ_OP.ZONE_APPEND: // no device here has zones
    case REQ_OP.ZONE_OPEN:
    case REQ_OP.ZONE_CLOSE:
    case REQ_OP.ZONE_FINISH:
    case REQ_OP.ZONE_RESET:
    case REQ_OP.ZONE_RESET_ALL:
      return false;
    default:
      return true;
  }
}

/**
 * Call the driver, then for what it submitted meanwhile: devices below it first, then itself, then what waited before.
 * So a stack of drivers uses one frame of each, however deep it is and however often bios are split.
 */
function dispatch(pending: PendingBios, bio: Bio, disk: Gendisk): void {
  pending.active = true;
  try {
    callDriver(bio, disk);
    if (pending.fresh.head !== undefined) dispatchPending(pending, disk);
  } finally {
    pending.active = false;
  }
}

function dispatchPending(pending: PendingBios, first: Gendisk): void {
  sortFresh(pending, first.queue);
  for (let bio = pop(pending.older); bio !== undefined; bio = pop(pending.older)) {
    const { disk } = bio.bdev!;
    callDriver(bio, disk);
    sortFresh(pending, disk.queue);
  }
}

function callDriver(bio: Bio, disk: Gendisk): void {
  if (disk.dead) bioEndWith(bio, BLK_STS.IOERR);
  else if (disk.queue.ioStats) submitAccounted(bio, disk);
  else disk.ops.submitBio(bio);
}

function sortFresh(pending: PendingBios, queue: RequestQueue): void {
  if (pending.fresh.head === undefined) return;
  const lower: BioList = { head: undefined, tail: undefined };
  const same: BioList = { head: undefined, tail: undefined };
  for (let bio = pop(pending.fresh); bio !== undefined; bio = pop(pending.fresh)) {
    push(bio.bdev!.disk.queue === queue ? same : lower, bio);
  }
  append(lower, same);
  append(lower, pending.older);
  pending.older = lower;
}

function push(list: BioList, bio: Bio): void {
  bio.next = undefined;
  if (list.tail === undefined) list.head = bio;
  else list.tail.next = bio;
  list.tail = bio;
}

function pop(list: BioList): Bio | undefined {
  const bio = list.head;
  if (bio === undefined) return undefined;
  list.head = bio.next;
  if (list.head === undefined) list.tail = undefined;
  bio.next = undefined;
  return bio;
}

/** Move all of `tail` behind `list`. */
function append(list: BioList, tail: BioList): void {
  if (tail.head === undefined) return;
  if (list.tail === undefined) list.head = tail.head;
  else list.tail.next = tail.head;
  list.tail = tail.tail;
}
