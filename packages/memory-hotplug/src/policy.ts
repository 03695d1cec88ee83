/**
 * What is to happen with memory that appears: online it at once, and into which zone.
 * Mirrors mm/memory_hotplug.c: memhp_default_state=, and the parameters of the module memory_hotplug; mm/page_alloc.c: movable_node.
 */
import { boolParam, findParam, moduleParams, releaseAtLeast, sameParamName, uintParam, wordParam } from '@holdfast/lib';
import type { Attribute, KernelParam, KernelRelease, Printk } from '@holdfast/lib';

/** What may be written to the `state` of a block and to auto_online_blocks. */
export const ONLINE_WORDS = ['offline', 'online', 'online_kernel', 'online_movable'] as const;
export type OnlineWord = (typeof ONLINE_WORDS)[number];

/** How memory goes online. */
export type OnlineType = Exclude<OnlineWord, 'offline'>;

export interface HotplugPolicy {
  /** What becomes of a block when its memory is added. */
  autoOnline: OnlineWord;
  /** Memory that belongs to no zone yet is better movable (`movable_node`). */
  readonly movableNode: boolean;
  /** Struct pages of an added block lie in the block itself, where that fits. */
  readonly memmapOnMemory: boolean;
  /** How plain `online` chooses a zone; may change at run time, as may what is below. */
  readonly onlinePolicy: 'contig-zones' | 'auto-movable';
  /** At most so many percent of the kernel's boot memory may be movable. */
  readonly autoMovableRatio: number;
  /** Hold the ratio within each node too. */
  readonly autoMovableNumaAware: boolean;
  /** The files of /sys/module/memory_hotplug/parameters. */
  readonly parameters: readonly Attribute[];
}

/** The policy that a command line asks for. An unknown memhp_default_state is ignored, as in Linux. */
export function hotplugPolicy(cmdline: readonly KernelParam[], release: KernelRelease, printk: Printk): HotplugPolicy {
  const since = (major: number, minor: number): boolean => releaseAtLeast(release, major, minor);
  const memmap = moduleParams('memory_hotplug', { memmap_on_memory: boolParam(false, 0o444) }, since(5, 14) ? cmdline : [], printk);
  const zones = moduleParams('memory_hotplug', ZONE_PARAMS, since(5, 15) ? cmdline : [], printk);
  const word = findParam(cmdline, 'memhp_default_state');
  return {
    autoOnline: ONLINE_WORDS.find((each) => each === word) ?? 'offline',
    movableNode: cmdline.some(({ name }) => sameParamName(name, 'movable_node')),
    memmapOnMemory: memmap.values.memmap_on_memory,
    get onlinePolicy() {
      return zones.values.online_policy;
    },
    get autoMovableRatio() {
      return zones.values.auto_movable_ratio;
    },
    get autoMovableNumaAware() {
      return zones.values.auto_movable_numa_aware;
    },
    parameters: [...(since(5, 14) ? memmap.attributes : []), ...(since(5, 15) ? zones.attributes : [])],
  };
}

const ZONE_PARAMS = {
  online_policy: wordParam<'contig-zones' | 'auto-movable'>(['contig-zones', 'auto-movable'], 'contig-zones', 0o644),
  auto_movable_ratio: uintParam(301, 0o644),
  auto_movable_numa_aware: boolParam(true, 0o644),
};
