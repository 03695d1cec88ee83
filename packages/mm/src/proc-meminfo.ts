/**
 * The texts of /proc/meminfo and /sys/devices/system/node/nodeN/meminfo. Mirrors fs/proc/meminfo.c and drivers/base/node.c of 6.1.
 *
 * Differs from Linux: there is no slab or user memory here, so their lines say 0; and the lines of a node say nothing of its page cache.
 */
import { type NodeId, PAGE_SIZE } from '@holdfast/lib';
import type { PageCacheCounts } from './page-cache-counts.js';
import { type Pgdat } from './zone.js';
import { totalReservePages } from './watermark.js';

const KB_PER_PAGE = PAGE_SIZE / 1024;
/** 4-level paging: 32 TiB less a page of vmalloc space. */
const VMALLOC_TOTAL_KB = 34_359_738_367;
const HUGEPAGE_KB = 2048;

/** What others know of memory, in kB. */
export interface MeminfoExtras {
  readonly directMap4k?: number;
  readonly directMap2M?: number;
  readonly directMap1G?: number;
  /** In pages, unlike the others. */
  readonly pageCache?: PageCacheCounts;
  /** Pages of swap areas, all of them free. */
  readonly swapPages?: number;
}

const AFTER_AVAILABLE = [
  'Buffers', 'Cached', 'SwapCached', 'Active', 'Inactive', 'Active(anon)', 'Inactive(anon)', 'Active(file)', 'Inactive(file)', 'Unevictable', 'Mlocked',
  'SwapTotal', 'SwapFree', 'Zswap', 'Zswapped', 'Dirty', 'Writeback', 'AnonPages', 'Mapped', 'Shmem', 'KReclaimable', 'Slab', 'SReclaimable', 'SUnreclaim',
  'KernelStack', 'PageTables', 'SecPageTables', 'NFS_Unstable', 'Bounce', 'WritebackTmp',
] as const;
const AFTER_VMALLOC_TOTAL = ['VmallocUsed', 'VmallocChunk', 'Percpu'] as const;
const AFTER_CORRUPTED = ['AnonHugePages', 'ShmemHugePages', 'ShmemPmdMapped', 'FileHugePages', 'FilePmdMapped'] as const;
const HUGE_COUNTS = ['HugePages_Total', 'HugePages_Free', 'HugePages_Rsvd', 'HugePages_Surp'] as const;

export function formatMeminfo(
  nodes: readonly Pgdat[],
  { directMap4k = 0, directMap2M = 0, directMap1G = 0, pageCache = NO_PAGE_CACHE, swapPages = 0 }: MeminfoExtras = {},
): string {
  const { total, free } = pagesOf(nodes);
  const lines: Partial<Record<string, number>> = { ...linesOf(pageCache), SwapTotal: swapPages, SwapFree: swapPages };
  return [
    kB('MemTotal', total * KB_PER_PAGE),
    kB('MemFree', free * KB_PER_PAGE),
    kB('MemAvailable', availablePages(nodes, free, pageCache) * KB_PER_PAGE),
    ...AFTER_AVAILABLE.map((name) => kB(name, (lines[name] ?? 0) * KB_PER_PAGE)),
    kB('CommitLimit', (Math.floor(total / 2) + swapPages) * KB_PER_PAGE),
    kB('Committed_AS', 0),
    kB('VmallocTotal', VMALLOC_TOTAL_KB),
    ...AFTER_VMALLOC_TOTAL.map((name) => kB(name, 0)),
    'HardwareCorrupted:     0 kB\n', // longer than the column
    ...AFTER_CORRUPTED.map((name) => kB(name, 0)),
    ...HUGE_COUNTS.map((name) => `${`${name}:`.padEnd(16)}${'0'.padStart(8)}\n`),
    kB('Hugepagesize', HUGEPAGE_KB),
    kB('Hugetlb', 0),
    kB('DirectMap4k', directMap4k),
    kB('DirectMap2M', directMap2M),
    kB('DirectMap1G', directMap1G),
  ].join('');
}

const NO_PAGE_CACHE: PageCacheCounts = { buffers: 0, cached: 0, dirty: 0, writeback: 0, active: 0, inactive: 0 };

/** The lines of the page cache, in pages. */
function linesOf({ buffers, cached, dirty, writeback, active, inactive }: PageCacheCounts): Partial<Record<string, number>> {
  return {
    Buffers: buffers,
    Cached: cached,
    Active: active,
    Inactive: inactive,
    'Active(file)': active,
    'Inactive(file)': inactive,
    Dirty: dirty,
    Writeback: writeback,
  };
}

/** Free memory, and what the page cache would give back: all but half, or the low marks if that is less (si_mem_available). */
function availablePages(nodes: readonly Pgdat[], free: number, { active, inactive }: PageCacheCounts): number {
  const low = nodes.flatMap(({ zones }) => zones).reduce((sum, { watermark }) => sum + watermark.low, 0);
  const cache = active + inactive;
  return Math.max(0, free - totalReservePages(nodes) + cache - Math.min(Math.floor(cache / 2), low));
}

const NODE_ZEROES = [
  'SwapCached', 'Active', 'Inactive', 'Active(anon)', 'Inactive(anon)', 'Active(file)', 'Inactive(file)', 'Unevictable', 'Mlocked', 'Dirty', 'Writeback',
  'FilePages', 'Mapped', 'AnonPages', 'Shmem', 'KernelStack', 'PageTables', 'SecPageTables', 'NFS_Unstable', 'Bounce', 'WritebackTmp', 'KReclaimable', 'Slab',
  'SReclaimable', 'SUnreclaim', 'AnonHugePages', 'ShmemHugePages', 'ShmemPmdMapped',
] as const;
const NODE_FILE_ZEROES = ['FileHugePages', 'FilePmdMapped'] as const;
const NODE_HUGE_COUNTS = ['HugePages_Total', 'HugePages_Free', 'HugePages_Surp'] as const;

/** `node`: undefined for a node without memory that has no zones yet. */
export function formatNodeMeminfo(nid: NodeId, node: Pgdat | undefined): string {
  const { total, free } = pagesOf(node === undefined ? [] : [node]);
  return [
    kB('MemTotal', total * KB_PER_PAGE),
    kB('MemFree', free * KB_PER_PAGE),
    kB('MemUsed', (total - free) * KB_PER_PAGE),
    ...NODE_ZEROES.map((name) => kB(name, 0)),
    ...NODE_FILE_ZEROES.map((name) => `${name}: ${'0'.padStart(8)} kB\n`), // a column to the left, as in Linux
    ...NODE_HUGE_COUNTS.map((name) => `${`${name}:`.padEnd(17)}${'0'.padStart(5)}\n`),
  ]
    .map((line) => `Node ${nid} ${line}`)
    .join('');
}

function pagesOf(nodes: readonly Pgdat[]): { readonly total: number; readonly free: number } {
  const zones = nodes.flatMap((node) => node.zones);
  return {
    total: zones.reduce((sum, zone) => sum + zone.managed, 0),
    free: zones.reduce((sum, zone) => sum + zone.buddy.freePages, 0),
  };
}

function kB(name: string, value: number): string {
  return `${`${name}:`.padEnd(16)}${String(value).padStart(8)} kB\n`;
}
