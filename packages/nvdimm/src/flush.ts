/**
 * Can a region's writes be made durable for certain? Mirrors drivers/nvdimm/region_devs.c: nvdimm_has_flush.
 */
import type { NdRegion } from './nd-device.js';

/** True with flush hints; false with DIMMs that have none, where the platform is trusted to flush (ADR); undefined without DIMMs. */
export function nvdimmHasFlush(region: Pick<NdRegion, 'mappings'>): boolean | undefined {
  if (region.mappings.length === 0) return undefined;
  return region.mappings.some(({ dimm }) => dimm.hasFlushHints);
}
