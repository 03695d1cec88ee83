/**
 * The files `numastat` and `vmstat` of /sys/devices/system/node/nodeN. Mirrors drivers/base/node.c: node_read_numastat, node_read_vmstat.
 * Counters are those that something here counts, see proc-zoneinfo.ts; the others say 0.
 */
import { NODE_COUNTERS, ZONE_COUNTERS } from './proc-zoneinfo.js';
import type { NumaCounters, Pgdat } from './zone.js';

export function formatNumastat(node: Pgdat | undefined): string {
  const { hit, miss, foreign, local, other } = numaOf(node);
  return `numa_hit ${hit}\nnuma_miss ${miss}\nnuma_foreign ${foreign}\ninterleave_hit 0\nlocal_node ${local}\nother_node ${other}\n`;
}

export function formatNodeVmstat(node: Pgdat | undefined): string {
  const { hit, miss, foreign, local, other } = numaOf(node);
  const free = (node?.zones ?? []).reduce((sum, { buddy }) => sum + buddy.freePages, 0);
  const zero = (name: string): [string, number] => [name, 0];
  const counters: [string, number][] = [
    ['nr_free_pages', free], ...ZONE_COUNTERS.map(zero),
    ['numa_hit', hit], ['numa_miss', miss], ['numa_foreign', foreign], ['numa_interleave', 0], ['numa_local', local], ['numa_other', other],
    ...NODE_COUNTERS.map(zero),
  ];
  return counters.map(([name, value]) => `${name} ${value}\n`).join('');
}

function numaOf(node: Pgdat | undefined): NumaCounters {
  const sum: NumaCounters = { hit: 0, miss: 0, foreign: 0, local: 0, other: 0 };
  for (const { numa } of node?.zones ?? []) for (const name of ['hit', 'miss', 'foreign', 'local', 'other'] as const) sum[name] += numa[name];
  return sum;
}
