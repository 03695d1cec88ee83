/**
 * How much I/O a device has seen, for /sys/block/D/stat and /proc/diskstats. Mirrors block/blk-core.c: bdev_start_io_acct, bdev_end_io_acct,
 * update_io_ticks; block/genhd.c: part_stat_show, diskstats_show.
 *
 * Invariant: what a partition has seen, its disk has seen, too.
 * Differs from Linux: nothing is merged, and nothing is in flight when somebody asks, for a bio ends before its submission returns.
 */
import { REQ_OP, opIsWrite, opOf } from './blk-types.js';
import type { Bio, BlockDevice, DiskStats, Gendisk } from './blk-types.js';

/** The clock's grain: HZ is 250. */
const NS_PER_JIFFY = 4_000_000;
const MS_PER_JIFFY = 4;

/** ios, sectors and jiffies of a kind, where a device's numbers have them. */
const READ = 0;
const WRITE = 3;
const DISCARD = 6;
const IO_TICKS = 9;
const NR_STATS = 10;

export function newDiskStats(): DiskStats {
  return new Float64Array(NR_STATS);
}

/** Hand a bio to its driver, and count it and the time that it takes. */
export function submitAccounted(bio: Bio, disk: Gendisk): void {
  const { bdev, opf, sizeBytes } = bio;
  const { clock } = disk.block.needs;
  const op = opOf(opf);
  const kind = op === REQ_OP.DISCARD ? DISCARD : opIsWrite(opf) ? WRITE : READ;
  const start = jiffiesOf(clock.now);
  disk.ops.submitBio(bio);
  const took = jiffiesOf(clock.now) - start;
  count(disk.part0.stats, kind, sizeBytes, took);
  if (bdev!.partno !== 0) count(bdev!.stats, kind, sizeBytes, took);
}

function count(stats: DiskStats, kind: number, sizeBytes: number, jiffies: number): void {
  stats[kind]! += 1;
  stats[kind + 1]! += Math.floor(sizeBytes / 512);
  stats[kind + 2]! += jiffies;
  stats[IO_TICKS]! += jiffies;
}

function jiffiesOf(ns: number): number {
  return Math.floor(ns / NS_PER_JIFFY);
}

/** The seventeen numbers of the file `stat`: ios, merges, sectors and milliseconds of a kind, what is in flight, busy and summed up time. */
export function statFields({ stats }: BlockDevice): number[] {
  const kind = (at: number): number[] => [stats[at]!, 0, stats[at + 1]!, stats[at + 2]! * MS_PER_JIFFY];
  const summed = (stats[READ + 2]! + stats[WRITE + 2]! + stats[DISCARD + 2]!) * MS_PER_JIFFY;
  // Flushes count as writes of nothing where bios go to the driver as they are.
  return [...kind(READ), ...kind(WRITE), 0, stats[IO_TICKS]! * MS_PER_JIFFY, summed, ...kind(DISCARD), 0, 0];
}
