/**
 * Can a region's writes be made durable for certain, and how? Mirrors drivers/nvdimm/region_devs.c: nvdimm_has_flush, nvdimm_flush,
 * is_nvdimm_sync.
 */
import type { NdRegion } from './nd-device.js';

/** True with flush hints; false with DIMMs that have none, where the platform is trusted to flush (ADR); undefined without DIMMs. */
export function nvdimmHasFlush(region: Pick<NdRegion, 'mappings'>): boolean | undefined {
  if (region.mappings.length === 0) return undefined;
  return region.mappings.some(({ dimm }) => dimm.hasFlushHints);
}

/** Make what was written to a region durable; false if its provider could not. */
export function nvdimmFlush(region: Pick<NdRegion, 'flush'>, cpu: { sfence(): void }): boolean {
  cpu.sfence();
  return region.flush?.() ?? true;
}

/** Are stores durable without a flush request, so that user space may be told so by MAP_SYNC? */
export function isNvdimmSync({ kind, flush }: Pick<NdRegion, 'kind' | 'flush'>): boolean {
  return kind === 'pmem' && flush === undefined;
}
