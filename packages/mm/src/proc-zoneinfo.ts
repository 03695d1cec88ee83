/**
 * The text of /proc/zoneinfo. Mirrors zoneinfo_show_print of mm/vmstat.c of 6.1, and what it shows of mm/page_alloc.c: zone_batchsize,
 * zone_highsize, and of mm/vmstat.c: calculate_normal_threshold.
 *
 * Differs from Linux: the per-cpu lists are always drained (there are none) and, of the counters, only those of free pages and of NUMA ever
 * count: what they would count does not exist here.
 */
import { type NodeId, PAGE_SIZE, MIB, roundDownPow2 } from '@holdfast/lib';
import { type Pgdat, type Zone, isPopulated } from './zone.js';

export const NODE_COUNTERS = [
  'nr_inactive_anon', 'nr_active_anon', 'nr_inactive_file', 'nr_active_file', 'nr_unevictable', 'nr_slab_reclaimable', 'nr_slab_unreclaimable',
  'nr_isolated_anon', 'nr_isolated_file', 'workingset_nodes', 'workingset_refault_anon', 'workingset_refault_file', 'workingset_activate_anon',
  'workingset_activate_file', 'workingset_restore_anon', 'workingset_restore_file', 'workingset_nodereclaim', 'nr_anon_pages', 'nr_mapped',
  'nr_file_pages', 'nr_dirty', 'nr_writeback', 'nr_writeback_temp', 'nr_shmem', 'nr_shmem_hugepages', 'nr_shmem_pmdmapped', 'nr_file_hugepages',
  'nr_file_pmdmapped', 'nr_anon_transparent_hugepages', 'nr_vmscan_write', 'nr_vmscan_immediate_reclaim', 'nr_dirtied', 'nr_written',
  'nr_throttled_written', 'nr_kernel_misc_reclaimable', 'nr_foll_pin_acquired', 'nr_foll_pin_released', 'nr_kernel_stack', 'nr_page_table_pages',
  'nr_sec_page_table_pages', 'nr_swapcached', 'pgpromote_success', 'pgpromote_candidate',
] as const;

export const ZONE_COUNTERS = [
  'nr_zone_inactive_anon', 'nr_zone_active_anon', 'nr_zone_inactive_file', 'nr_zone_active_file', 'nr_zone_unevictable', 'nr_zone_write_pending',
  'nr_mlock', 'nr_bounce', 'nr_zspages', 'nr_free_cma',
] as const;

/** CPUs that are online, and how many of them are a node's. */
export interface OnlineCpus {
  readonly count: number;
  countOf(nid: NodeId): number;
}

/** `nodes`: the online nodes, ascending. */
export function formatZoneinfo(nodes: Iterable<Pgdat>, cpus: OnlineCpus): string {
  let text = '';
  for (const { zones } of nodes) {
    const first = zones.find(isPopulated);
    for (const zone of zones) text += formatZone(zone, zone === first, cpus);
  }
  return text;
}

function formatZone(zone: Zone, withNodeStats: boolean, cpus: OnlineCpus): string {
  const lines = [`Node ${zone.nid}, zone ${zone.name.padStart(8)}`];
  if (withNodeStats) lines.push('  per-node stats', ...NODE_COUNTERS.map((name) => counter(name, 0)));
  lines.push(
    `  pages free     ${zone.buddy.freePages}`,
    '        boost    0',
    `        min      ${zone.watermark.min}`,
    `        low      ${zone.watermark.low}`,
    `        high     ${zone.watermark.high}`,
    `        spanned  ${zone.spanned}`,
    `        present  ${zone.present}`,
    `        managed  ${zone.managed}`,
    '        cma      0',
    `        protection: (${zone.lowmemReserve.join(', ')})`,
  );
  if (isPopulated(zone)) lines.push(...populatedLines(zone, cpus));
  return `${lines.join('\n')}\n`;
}

function populatedLines(zone: Zone, cpus: OnlineCpus): string[] {
  const { buddy, numa, startPfn } = zone;
  return [
    counter('nr_free_pages', buddy.freePages),
    ...ZONE_COUNTERS.map((name) => counter(name, 0)),
    counter('numa_hit', numa.hit),
    counter('numa_miss', numa.miss),
    counter('numa_foreign', numa.foreign),
    counter('numa_interleave', 0),
    counter('numa_local', numa.local),
    counter('numa_other', numa.other),
    '  pagesets',
    ...pagesetLines(zone, cpus),
    '  node_unreclaimable:  0',
    `  start_pfn:           ${startPfn}`,
  ];
}

/** The same lines for each CPU. */
function pagesetLines(zone: Zone, cpus: OnlineCpus): string[] {
  const batch = batchSize(zone);
  const high = Math.max(Math.floor(zone.watermark.low / (cpus.countOf(zone.nid) || cpus.count)), 4 * batch);
  const threshold = statThreshold(zone, cpus.count);
  return Array.from({ length: cpus.count }, (_, cpu) => [
    `    cpu: ${cpu}`,
    '              count: 0',
    `              high:  ${high}`,
    `              batch: ${batch}`,
    `  vm stats threshold: ${threshold}`,
  ]).flat();
}

/** Pages that move between a per-cpu list and the zone at once: about a quarter of a thousandth of the zone, a power of two less one. */
function batchSize({ managed }: Zone): number {
  const pages = Math.max(1, Math.floor(Math.min(Math.floor(managed / 1024), MIB / PAGE_SIZE) / 4));
  return Math.max(1, roundDownPow2(pages + Math.floor(pages / 2)) - 1);
}

/** By how much a CPU's own count may be off before it is added to the zone's. */
function statThreshold({ managed }: Zone, nrCpus: number): number {
  const largePieces = Math.floor((managed * PAGE_SIZE) / (128 * MIB));
  return Math.min(125, 2 * fls(nrCpus) * (1 + fls(largePieces)));
}

/** The highest bit that is set, counted from 1; 0 if none is. */
function fls(value: number): number {
  return 32 - Math.clz32(value);
}

function counter(name: string, value: number): string {
  return `      ${name.padEnd(12)} ${value}`;
}
