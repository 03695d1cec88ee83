/**
 * How many labels fit into a DIMM's label area. Mirrors drivers/nvdimm/label.c: sizeof_namespace_index, nvdimm_num_label_slots.
 */
import { roundUp } from '@holdfast/lib';

/** Bytes of an index block that keeps one bit a slot. */
function indexSize(nrSlots: number): number {
  return roundUp(72 + Math.ceil(nrSlots / 8), 256);
}

/** Labels of `labelSize` bytes in an area of `areaSize` bytes, beside two index blocks; 0 if not even two fit. */
export function labelSlots(areaSize: number, labelSize: 128 | 256): number {
  const nrSlots = Math.floor((areaSize - 2 * indexSize(Math.floor(areaSize / labelSize))) / labelSize);
  return nrSlots >= 2 && 2 * indexSize(nrSlots) <= areaSize - nrSlots * labelSize ? nrSlots : 0;
}
