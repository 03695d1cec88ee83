/**
 * A DIMM's label area: finding its current index block, and the update that a power cut cannot break.
 * Mirrors drivers/nvdimm/label.c: nd_label_validate, nd_label_write_index, __pmem_label_update, del_labels, init_labels.
 *
 * An update writes the label into a free slot, which nobody reads yet, and then the index block that is not current. That one write makes
 * the new label valid and frees the old one's slot; the current block is never touched. So a DIMM always holds the old label or the new.
 * A freed slot keeps its bytes.
 *
 * Invariant: what is in memory equals the current block on media. Linux may leak a slot until reboot when a write fails; here a failed
 * write changes nothing in memory.
 */
import { KernelError } from '@holdfast/lib';
import {
  type IndexNumber, type LabelGeometry, type LabelSize, LABEL_SIZES, bestSeq, checkIndex, encodeIndex, labelGeometry, nextSeq, slotOffset,
} from './label-index.js';
import { type NamespaceLabel, NSLABEL_FLAG, decodeLabel, encodeLabel, labelIsValid } from './namespace-label.js';

/** The bytes that a DIMM's firmware keeps for labels. Both calls throw a KernelError if the firmware refuses. */
export interface ConfigArea {
  readonly sizeBytes: number;
  /** The bytes of `[offset, offset + length)`, for the caller to keep. */
  read(offset: number, length: number): Uint8Array;
  /** Durable on return. */
  write(offset: number, bytes: Uint8Array): void;
}

/** A label area with a valid index block. */
export interface LabelArea {
  readonly config: ConfigArea;
  readonly geometry: LabelGeometry;
  /** The index block that holds; updates go to the other. */
  current: IndexNumber;
  seq: number;
  /** Slots that the current block speaks of. */
  nrSlots: number;
  /** A bit a slot, 1 = free. */
  free: Uint8Array;
}

/** A label before it has a place. */
export type NewLabel = Omit<NamespaceLabel, 'slot' | 'flags'>;

/** One DIMM's part of an update: its label, and the UUID of the label that it replaces if that is another. */
export interface LabelUpdate {
  readonly area: LabelArea;
  readonly label: NewLabel;
  readonly replaces?: string;
}

/** Read the label area; undefined if neither index block is valid, for either label size. Never writes. */
export function openLabelArea(config: ConfigArea): LabelArea | undefined {
  for (const labelSize of LABEL_SIZES) {
    const geometry = labelGeometry(config.sizeBytes, labelSize);
    const area = geometry && openWith(config, geometry);
    if (area) return area;
  }
  return undefined;
}

function openWith(config: ConfigArea, geometry: LabelGeometry): LabelArea | undefined {
  const { indexSize } = geometry;
  const [first, second] = ([0, 1] as const).map((which) => {
    const check = checkIndex(geometry, which, config.read(which * indexSize, indexSize));
    return 'index' in check ? check.index : undefined;
  });
  const current = first && second ? (bestSeq(first.seq, second.seq) === (second.seq & 3) ? 1 : 0) : second ? 1 : 0;
  const index = current === 1 ? second : first;
  return index && { config, geometry, current, seq: index.seq & 3, nrSlots: index.nrSlots, free: index.free };
}

/**
 * Write two fresh index blocks, all slots free. Slots keep their bytes.
 * `ndctl` also sets the bits past the last slot, up to a multiple of 64; the kernel clears them. No reader minds.
 *
 * @throws KernelError ENXIO if the area is too small for two labels
 */
export function initLabelArea(config: ConfigArea, labelSize: LabelSize, style: 'kernel' | 'ndctl'): LabelArea {
  const geometry = labelGeometry(config.sizeBytes, labelSize);
  if (!geometry) throw new KernelError('ENXIO', `label area (${config.sizeBytes}) too small to host (${labelSize} byte) labels`);
  const { nrSlots, indexSize } = geometry;
  const free = new Uint8Array(Math.ceil(nrSlots / 64) * 8);
  const nrSet = style === 'ndctl' ? free.length * 8 : nrSlots;
  for (let slot = 0; slot < nrSet; slot++) setBit(free, slot, true);
  // The first is the newer of the two, so the first update goes to the second.
  config.write(0, encodeIndex(geometry, 0, 3, free));
  config.write(indexSize, encodeIndex(geometry, 1, 2, free));
  return { config, geometry, current: 0, seq: 3, nrSlots, free };
}

/** The labels that hold: allocated, in their own slot and undamaged. In slot order. */
export function activeLabels(area: LabelArea): NamespaceLabel[] {
  return allocatedSlots(area).flatMap((slot) => {
    const bytes = readSlot(area, slot);
    return labelIsValid(bytes, slot) ? [decodeLabel(bytes)] : [];
  });
}

/** What every slot holds, free or not, if it knows its own number: what `ndctl read-labels` lists. */
export function everyLabel(area: LabelArea): NamespaceLabel[] {
  const slots = Array.from({ length: area.nrSlots }, (_, slot) => decodeLabel(readSlot(area, slot)));
  return slots.filter((label, slot) => label.slot === slot);
}

/** Slots that are free (nd_label_nfree); an update needs one of them for a moment. */
export function nrFreeSlots(area: LabelArea): number {
  return area.nrSlots - allocatedSlots(area).length;
}

/**
 * Store a namespace's labels: on every DIMM once as UPDATING, then on every DIMM for good.
 * A power cut leaves each DIMM with its old label or its new one, but not all with the same.
 *
 * @throws KernelError ENXIO if a DIMM has no free slot; DIMMs before it keep the new label
 */
export function updateLabels(updates: readonly LabelUpdate[]): void {
  for (const flags of [NSLABEL_FLAG.UPDATING, 0]) {
    for (const { area, label, replaces } of updates) storeLabel(area, { ...label, flags }, [label.uuid, replaces]);
  }
}

/** Free the slots of a namespace's labels; writes an index block even if there were none. */
export function deleteLabels(area: LabelArea, uuid: string): void {
  const free = area.free.slice();
  freeSlotsOf(area, free, [uuid]);
  writeIndex(area, free);
}

/** Put a label into the lowest free slot, and free those of the labels that it replaces. */
function storeLabel(area: LabelArea, label: Omit<NamespaceLabel, 'slot'>, victims: readonly (string | undefined)[]): void {
  const { config, geometry } = area;
  const free = area.free.slice();
  const slot = lowestFreeSlot(area);
  if (slot === undefined) throw new KernelError('ENXIO', `no free label slot: all ${area.nrSlots} are in use`);
  setBit(free, slot, false);
  config.write(slotOffset(geometry, slot), encodeLabel({ ...label, slot }, geometry.labelSize));
  freeSlotsOf(area, free, victims);
  writeIndex(area, free);
}

/** The commit: one write of the block that is not current. */
function writeIndex(area: LabelArea, free: Uint8Array): void {
  const { config, geometry } = area;
  const next = (1 - area.current) as IndexNumber;
  const seq = nextSeq(area.seq);
  config.write(next * geometry.indexSize, encodeIndex(geometry, next, seq, free));
  Object.assign(area, { current: next, seq, free, nrSlots: geometry.nrSlots });
}

/** Mark free, in `free`, the slots whose labels carry one of the UUIDs. */
function freeSlotsOf(area: LabelArea, free: Uint8Array, uuids: readonly (string | undefined)[]): void {
  for (const { uuid, slot } of activeLabels(area)) {
    if (uuids.includes(uuid)) setBit(free, slot, true);
  }
}

function readSlot({ config, geometry }: LabelArea, slot: number): Uint8Array {
  return config.read(slotOffset(geometry, slot), geometry.labelSize);
}

function allocatedSlots({ free, nrSlots }: LabelArea): number[] {
  const slots: number[] = [];
  for (let slot = 0; slot < nrSlots; slot++) {
    if (!testBit(free, slot)) slots.push(slot);
  }
  return slots;
}

function lowestFreeSlot({ free, nrSlots }: LabelArea): number | undefined {
  for (let slot = 0; slot < nrSlots; slot++) {
    if (testBit(free, slot)) return slot;
  }
  return undefined;
}

function testBit(bits: Uint8Array, at: number): boolean {
  return ((bits[at >> 3]! >> (at & 7)) & 1) === 1;
}

function setBit(bits: Uint8Array, at: number, value: boolean): void {
  const mask = 1 << (at & 7);
  bits[at >> 3] = value ? bits[at >> 3]! | mask : bits[at >> 3]! & ~mask;
}

/** Labels of `labelSize` bytes in an area of `areaSize` bytes; 0 if not even two fit. */
export function labelSlots(areaSize: number, labelSize: LabelSize): number {
  return labelGeometry(areaSize, labelSize)?.nrSlots ?? 0;
}
