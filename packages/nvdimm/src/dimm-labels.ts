/**
 * What a DIMM's labels say: its label area, and which parts of the DIMM are given out to whom.
 * Mirrors drivers/nvdimm/nd.h: struct nvdimm_drvdata, and label.c: nd_label_data_init, nd_label_reserve_dpa.
 *
 * Invariant: extents are sorted by start and do not overlap.
 */
import { KernelError } from '@holdfast/lib';
import { type ConfigArea, type LabelArea, activeLabels, labelSlots, nrFreeSlots, openLabelArea } from './label-area.js';

/** Bytes `[start, start + sizeBytes)` of a DIMM that belong to the namespace of a UUID. */
export interface DpaExtent {
  readonly start: number;
  readonly sizeBytes: number;
  readonly uuid: string;
}

export interface DimmLabels {
  readonly config: ConfigArea;
  /** Undefined as long as there is no valid index block. */
  area: LabelArea | undefined;
  extents: readonly DpaExtent[];
}

/** Read a DIMM's labels. @throws KernelError EBUSY if two of them claim the same bytes */
export function readDimmLabels(config: ConfigArea): DimmLabels {
  const area = openLabelArea(config);
  let extents: readonly DpaExtent[] = [];
  for (const { dpa, rawSize, uuid } of area ? activeLabels(area) : []) {
    const extent = { start: dpa, sizeBytes: rawSize, uuid };
    if (extents.some((other) => overlap(other, extent))) throw new KernelError('EBUSY', `label of ${uuid}: ${rawSize} bytes at ${dpa} belong to another`);
    extents = withExtent(extents, extent);
  }
  return { config, area, extents };
}

/** Labels that can be added; one slot is kept back for updates. */
export function availableSlots({ config, area }: DimmLabels): number {
  const free = area ? nrFreeSlots(area) : labelSlots(config.sizeBytes, 256);
  return Math.max(0, free - 1);
}

/** Extents with one more, still sorted. */
export function withExtent(extents: readonly DpaExtent[], extent: DpaExtent): DpaExtent[] {
  return [...extents, extent].sort((a, b) => a.start - b.start);
}

function overlap(a: DpaExtent, b: DpaExtent): boolean {
  return a.start < b.start + b.sizeBytes && b.start < a.start + a.sizeBytes;
}
