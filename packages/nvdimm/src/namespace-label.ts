/**
 * One label: a DIMM's share of a namespace. Mirrors drivers/nvdimm/label.h: struct nvdimm_efi_label, and nd.h: nsl_get_* and nsl_validate_checksum.
 * UEFI 2.7, 13.19.
 *
 * Differs from Linux: 64-bit sizes are numbers here; what a damaged label claims beyond 2^53 is rounded, and far outside of any DIMM.
 */
import { fletcher64, layout, u16, u32, u64, u8 } from '@holdfast/lib';
import type { Field } from '@holdfast/lib';
import type { LabelSize } from './label-index.js';
import { NULL_UUID, guid, uuid } from './uuid.js';

/** Bits of a label's flags. */
export const NSLABEL_FLAG = { READ_ONLY: 1, LOCAL: 2, BTT: 4, UPDATING: 8 } as const;

/** What a v1.2 label says a namespace holds; none if it is raw. */
export const ABSTRACTION_GUID = {
  none: NULL_UUID,
  btt: '8aed63a2-29a2-4c66-8b12-f05d15d3922a',
  btt2: '18633bfc-1735-4217-8ac9-17239282d3f8',
  pfn: '266400ba-fb9f-4677-bcb0-968f11d0d225',
  dax: '97a86d9c-3cdd-4eda-986f-5068b4f80088',
} as const;
/** What a namespace may be held by (enum nvdimm_claim_class). */
export type ClaimClass = keyof typeof ABSTRACTION_GUID;

/** The SPA type that v1.2 labels of persistent memory carry (ACPI 6.0, 5.2.25.2). */
export const PERSISTENT_MEMORY_GUID = '66f0d379-b4f3-4074-ac43-0d3318b78cdb';

/** A label. Sizes and addresses in bytes. */
export interface NamespaceLabel {
  /** Of the namespace; all of its labels carry it. */
  readonly uuid: string;
  /** Its alternative name, at most 63 characters, one a byte. */
  readonly name: string;
  readonly flags: number;
  /** Labels that the namespace has: one a DIMM of its interleave set. */
  readonly nlabel: number;
  /** Of this DIMM in the set, from 0. */
  readonly position: number;
  readonly isetCookie: bigint;
  /** Logical block; 0 means 512. */
  readonly lbaSize: number;
  /** Start and length on this DIMM. */
  readonly dpa: number;
  readonly rawSize: number;
  /** Where the label lies: it is believed only there. */
  readonly slot: number;
  /** The rest in v1.2 only: log2 of the alignment, and what the range is and holds. */
  readonly align: number;
  readonly typeGuid: string;
  readonly abstractionGuid: string;
}

const NAME_SIZE = 64;
const CHECKSUM_OFFSET = 248;

/** Bytes as characters 0 to 255, ended by NUL. Names are whatever bytes user space gave. */
const name: Field<string> = {
  at: 16,
  size: NAME_SIZE,
  read(view, pos) {
    let text = '';
    for (let at = 0; at < NAME_SIZE && view.getUint8(pos + at) !== 0; at++) text += String.fromCharCode(view.getUint8(pos + at));
    return text;
  },
  write(view, pos, text) {
    for (let at = 0; at < NAME_SIZE; at++) view.setUint8(pos + at, at < NAME_SIZE - 1 ? text.charCodeAt(at) : 0);
  },
};

const V1_1 = {
  uuid: uuid(0),
  name,
  flags: u32(80),
  nlabel: u16(84),
  position: u16(86),
  isetCookie: u64(88),
  lbaSize: u64(96),
  dpa: u64(104),
  rawSize: u64(112),
  slot: u32(120),
};
const LABEL_128 = layout('namespace label v1.1', 128, V1_1);
const LABEL_256 = layout('namespace label v1.2', 256, {
  ...V1_1,
  align: u8(124),
  typeGuid: guid(128),
  abstractionGuid: guid(144),
  checksum: u64(CHECKSUM_OFFSET),
});

/** The label's bytes, as many as `labelSize`; what v1.1 has no room for is left out. */
export function encodeLabel(label: NamespaceLabel, labelSize: LabelSize): Uint8Array {
  const bytes = new Uint8Array(labelSize);
  const raw = { ...label, lbaSize: BigInt(label.lbaSize), dpa: BigInt(label.dpa), rawSize: BigInt(label.rawSize) };
  if (labelSize === 128) {
    LABEL_128.encode(raw, bytes);
    return bytes;
  }
  LABEL_256.encode({ ...raw, checksum: 0n }, bytes);
  LABEL_256.encode({ ...raw, checksum: fletcher64(bytes) }, bytes);
  return bytes;
}

/** What the label says, true or not; see {@link labelIsValid}. */
export function decodeLabel(bytes: Uint8Array): NamespaceLabel {
  const v1_2 = bytes.length >= LABEL_256.size;
  const { align, typeGuid, abstractionGuid } = v1_2 ? LABEL_256.decode(bytes) : { align: 0, typeGuid: NULL_UUID, abstractionGuid: NULL_UUID };
  const raw = LABEL_128.decode(bytes);
  const { lbaSize, dpa, rawSize } = raw;
  return { ...raw, lbaSize: Number(lbaSize), dpa: Number(dpa), rawSize: Number(rawSize), align, typeGuid, abstractionGuid };
}

/** May an allocated slot's bytes be believed? It must know its own slot and, in v1.2, have the right checksum (slot_valid). */
export function labelIsValid(bytes: Uint8Array, slot: number): boolean {
  if (LABEL_128.decode(bytes).slot !== slot) return false;
  if (bytes.length < LABEL_256.size) return true;
  const copy = bytes.slice();
  copy.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 8);
  return fletcher64(copy) === LABEL_256.decode(bytes).checksum;
}

/** The class that an abstraction GUID names; undefined if it is none of ours. */
export function claimClassOf(abstractionGuid: string): ClaimClass | undefined {
  return (Object.keys(ABSTRACTION_GUID) as ClaimClass[]).find((claim) => ABSTRACTION_GUID[claim] === abstractionGuid);
}
