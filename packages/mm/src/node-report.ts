/**
 * Who logs `Initmem setup node`: the architecture, as it allocates NODE_DATA (arch/x86/mm/numa.c: setup_node_data), or mm, once it knows the
 * node's frames (mm/page_alloc.c: free_area_init_node). Distributions took the later way over into earlier releases.
 */
import { type KernelRelease, releaseAtLeast } from '@holdfast/lib';

export type NodeReport = 'arch' | 'mm';

/** The way of an unpatched release. */
export function nodeReportOf(release: KernelRelease): NodeReport {
  return releaseAtLeast(release, 3, 18) ? 'mm' : 'arch';
}
