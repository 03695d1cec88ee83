/**
 * What /sys/block/D/queue shows. Mirrors block/blk-sysfs.c for a queue without blk-mq.
 *
 * Invariant: each read asks the queue anew; a write that is refused leaves it as it was.
 */
import { DEFAULT_RELEASE, KernelError, PAGE_SIZE, SECTOR_SIZE, isAligned, readOnly, readWrite, releaseAtLeast } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { Gendisk, RequestQueue } from './blk-types.js';
import { UINT_MAX } from './queue-limits.js';

/** The attributes that 4.1 has, too; of what came later, all are shown for any later release. */
const SINCE_41: ReadonlySet<string> = new Set([
  'add_random', 'discard_granularity', 'discard_max_bytes', 'discard_zeroes_data', 'hw_sector_size', 'iostats', 'logical_block_size',
  'max_hw_sectors_kb', 'max_integrity_segments', 'max_sectors_kb', 'max_segment_size', 'max_segments', 'minimum_io_size', 'nomerges',
  'nr_requests', 'optimal_io_size', 'physical_block_size', 'read_ahead_kb', 'rotational', 'rq_affinity', 'scheduler', 'write_same_max_bytes',
]);

/** The attributes of a disk's queue, in the order of their names. */
export function queueAttributes(disk: Gendisk): Attribute[] {
  const { queue, block } = disk;
  const all = [...limitAttributes(queue), ...flagAttributes(queue), ...fixedAttributes()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const modern = releaseAtLeast(block.needs.release ?? DEFAULT_RELEASE, 4, 2);
  return modern ? all : all.filter(({ name }) => SINCE_41.has(name));
}

function limitAttributes(queue: RequestQueue): Attribute[] {
  const { limits } = queue;
  return [
    readOnly('chunk_sectors', () => limits.chunkSectors),
    readOnly('discard_granularity', () => limits.discardGranularity),
    readWrite('discard_max_bytes', () => limits.maxDiscardSectors * SECTOR_SIZE, (text) => storeDiscardMax(queue, text)),
    readOnly('discard_max_hw_bytes', () => limits.maxHwDiscardSectors * SECTOR_SIZE),
    readOnly('dma_alignment', () => limits.dmaAlignment),
    readOnly('hw_sector_size', () => limits.logicalBlockSize),
    readOnly('logical_block_size', () => limits.logicalBlockSize),
    readOnly('max_discard_segments', () => limits.maxDiscardSegments),
    readOnly('max_hw_sectors_kb', () => Math.floor(limits.maxHwSectors / 2)),
    readWrite('max_sectors_kb', () => Math.floor(limits.maxSectors / 2), (text) => storeMaxSectors(queue, text)),
    readOnly('max_segment_size', () => limits.maxSegmentSize),
    readOnly('max_integrity_segments', () => limits.maxIntegritySegments),
    readOnly('max_segments', () => limits.maxSegments),
    readOnly('minimum_io_size', () => limits.ioMin),
    readOnly('optimal_io_size', () => limits.ioOpt),
    readOnly('physical_block_size', () => limits.physicalBlockSize),
    readOnly('virt_boundary_mask', () => limits.virtBoundaryMask),
    readOnly('write_zeroes_max_bytes', () => limits.maxWriteZeroesSectors * SECTOR_SIZE),
  ];
}

type FlagName = { [K in keyof RequestQueue]: RequestQueue[K] extends boolean ? K : never }[keyof RequestQueue];

function flagAttributes(queue: RequestQueue): Attribute[] {
  const flag = (name: string, key: FlagName): Attribute =>
    readWrite(name, () => (queue[key] ? 1 : 0), (text) => {
      queue[key] = parseUnsigned(name, text) !== 0;
    });
  return [
    flag('add_random', 'addRandom'),
    flag('iostats', 'ioStats'),
    flag('rotational', 'rotational'),
    flag('stable_writes', 'stableWrites'),
    readOnly('dax', () => (queue.dax ? 1 : 0)),
    readOnly('fua', () => (queue.fua ? 1 : 0)),
    readWrite('nomerges', () => queue.nomerges, (text) => {
      queue.nomerges = [0, 1, 2][parseUnsigned('nomerges', text)] ?? 0;
    }),
    readWrite('read_ahead_kb', () => queue.readAheadKb, (text) => {
      queue.readAheadKb = Math.floor(parseUnsigned('read_ahead_kb', text) / (PAGE_SIZE / 1024)) * (PAGE_SIZE / 1024);
    }),
    readWrite('rq_affinity', () => queue.rqAffinity, (text) => {
      queue.rqAffinity = [0, 1, 2][parseUnsigned('rq_affinity', text)] ?? queue.rqAffinity;
    }),
    readWrite('wbt_lat_usec', () => showWbt(queue), (text) => storeWbt(queue, text)),
    readWrite('write_cache', () => (queue.writeCache ? 'write back' : 'write through'), (text) => storeWriteCache(queue, text)),
  ];
}

/** What a device without blk-mq and zones shows, whoever asks. */
function fixedAttributes(): Attribute[] {
  const refuse = (name: string) => (): void => {
    throw new KernelError('EINVAL', `${name}: this device works bio by bio and has no request queue to set`);
  };
  return [
    readOnly('discard_zeroes_data', () => 0),
    readWrite('io_poll', () => 0, refuse('io_poll')),
    readWrite('io_poll_delay', () => 0, refuse('io_poll_delay')),
    readWrite('nr_requests', () => 128, refuse('nr_requests')),
    readOnly('nr_zones', () => 0),
    readWrite('scheduler', () => 'none', () => {}),
    readOnly('write_same_max_bytes', () => 0),
    readOnly('zone_append_max_bytes', () => 0),
    readOnly('zone_write_granularity', () => 0),
    readOnly('zoned', () => 'none'),
  ];
}

function storeMaxSectors({ limits }: RequestQueue, text: string): void {
  const kb = parseUnsigned('max_sectors_kb', text);
  const most = Math.floor(limits.maxHwSectors / 2);
  if (kb < PAGE_SIZE / 1024 || kb > most) throw new KernelError('EINVAL', `max_sectors_kb ${kb}: expected ${PAGE_SIZE / 1024} to ${most}`);
  limits.maxSectors = kb * 2;
}

function storeDiscardMax({ limits }: RequestQueue, text: string): void {
  const wanted = parseUnsigned('discard_max_bytes', text);
  // As in Linux, a granularity of 0 wraps: then only 0 is aligned.
  const aligned = limits.discardGranularity === 0 ? wanted === 0 : isAligned(wanted, limits.discardGranularity);
  if (!aligned) throw new KernelError('EINVAL', `discard_max_bytes ${wanted}: expected a multiple of discard_granularity ${limits.discardGranularity}`);
  limits.maxDiscardSectors = Math.min(wanted / SECTOR_SIZE, limits.maxHwDiscardSectors);
}

function storeWriteCache(queue: RequestQueue, text: string): void {
  if (text.startsWith('write back')) queue.writeCache = true;
  else if (text.startsWith('write through') || text.startsWith('none')) queue.writeCache = false;
  else throw new KernelError('EINVAL', `write_cache '${text.trim()}': expected 'write back', 'write through' or 'none'`);
}

/** What has no throttle has no latency to show, until one is set. */
function showWbt({ wbtLatUsec }: RequestQueue): number {
  if (wbtLatUsec === undefined) throw new KernelError('EINVAL', 'wbt_lat_usec: writeback of this device is not throttled');
  return wbtLatUsec;
}

/** -1 asks for what Linux takes by itself: 2 ms, or 75 ms where a head has to move (wbt_default_latency_nsec). */
function storeWbt(queue: RequestQueue, text: string): void {
  const value = /^-?\d+\n?$/.test(text) ? Number(text) : NaN;
  if (!(value >= -1 && value <= Number.MAX_SAFE_INTEGER)) throw new KernelError('EINVAL', `wbt_lat_usec '${text.trim()}': expected microseconds, or -1`);
  queue.wbtLatUsec = value === -1 ? (queue.rotational ? 75_000 : 2_000) : value;
}

/** A decimal number up to UINT_MAX, as queue_var_store takes it. */
function parseUnsigned(name: string, text: string): number {
  const value = /^\+?\d+\n?$/.test(text) ? Number(text) : NaN;
  if (!(value <= UINT_MAX)) throw new KernelError('EINVAL', `${name} '${text.trim()}': expected a decimal number up to ${UINT_MAX}`);
  return value;
}
