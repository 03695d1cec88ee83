/**
 * What is to happen with memory that appears: online it at once, and into which zone.
 * Mirrors mm/memory_hotplug.c: memhp_default_state=, and the parameters of the module memory_hotplug.
 */
import { boolParam, findParam, moduleParams, releaseAtLeast, uintParam, wordParam } from '@holdfast/lib';
import type { Attribute, KernelParam, KernelRelease, Printk } from '@holdfast/lib';

/** What may be written to the `state` of a block and to auto_online_blocks. */
export const ONLINE_WORDS = ['offline', 'online', 'online_kernel', 'online_movable'] as const;
export type OnlineWord = (typeof ONLINE_WORDS)[number];

export interface HotplugPolicy {
  /** What becomes of a block when its memory is added. */
  autoOnline: OnlineWord;
  /** The files of /sys/module/memory_hotplug/parameters. */
  readonly parameters: readonly Attribute[];
}

/** The policy that a command line asks for. An unknown memhp_default_state is ignored, as in Linux. */
export function hotplugPolicy(cmdline: readonly KernelParam[], release: KernelRelease, printk: Printk): HotplugPolicy {
  const specs = {
    ...(releaseAtLeast(release, 5, 14) ? { memmap_on_memory: boolParam(false, 0o444) } : {}),
    ...(releaseAtLeast(release, 5, 15)
      ? {
          online_policy: wordParam(['contig-zones', 'auto-movable'], 'contig-zones', 0o644),
          auto_movable_ratio: uintParam(301, 0o644),
          auto_movable_numa_aware: boolParam(true, 0o644),
        }
      : {}),
  };
  const { attributes } = moduleParams('memory_hotplug', specs, cmdline, printk);
  const word = findParam(cmdline, 'memhp_default_state');
  return { autoOnline: ONLINE_WORDS.find((each) => each === word) ?? 'offline', parameters: attributes };
}
