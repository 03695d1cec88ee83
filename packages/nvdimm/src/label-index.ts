/**
 * The two index blocks at the start of a DIMM's label area: which label slots are free, and which of the two blocks is newer.
 * Mirrors drivers/nvdimm/label.{c,h}: struct nd_namespace_index, sizeof_namespace_index, nvdimm_num_label_slots, __nd_label_validate, best_seq.
 *
 *     0          indexSize     2 × indexSize                                      area size
 *     ├ index 0 ─┼─ index 1 ───┼─ slot 0 ─┬─ slot 1 ─┬ … ─┬─ slot nrSlots−1 ─┬ rest ─┤
 *
 * Invariant: a bit of the bitmap is 1 while its slot is free. Bits past the last slot mean nothing; a writer keeps them as it found them.
 * Differs from Linux: a size code above 1 is refused instead of shifted by, and the slots' size is not cut to 32 bits before it is compared.
 */
import { ascii, fletcher64, layout, roundUp, u16, u32, u64, u8 } from '@holdfast/lib';

/** Bytes of one label: 128 in v1.1, 256 in v1.2. */
export type LabelSize = 128 | 256;
export const LABEL_SIZES: readonly LabelSize[] = [128, 256];
/** Which of the two index blocks. */
export type IndexNumber = 0 | 1;

const SIGNATURE = 'NAMESPACE_INDEX';
const HEADER_SIZE = 72;
const INDEX_ALIGN = 256;
const CHECKSUM_OFFSET = 64;

const INDEX = layout('namespace index', HEADER_SIZE, {
  signature: ascii(0, 16),
  labelSizeCode: u8(19),
  seq: u32(20),
  myOffset: u64(24),
  mySize: u64(32),
  otherOffset: u64(40),
  labelOffset: u64(48),
  nrSlots: u32(56),
  major: u16(60),
  minor: u16(62),
  checksum: u64(CHECKSUM_OFFSET),
});

/** Where things lie in a label area. Sizes and offsets in bytes. */
export interface LabelGeometry {
  readonly areaSize: number;
  readonly labelSize: LabelSize;
  readonly indexSize: number;
  readonly nrSlots: number;
}

/** What an index block says. */
export interface NamespaceIndex {
  /** 1, 2 or 3 in its low two bits. */
  readonly seq: number;
  /** Slots it speaks of: those of the geometry, or fewer. */
  readonly nrSlots: number;
  readonly major: number;
  readonly minor: number;
  readonly labelSize: number;
  /** One bit a slot, 1 = free; all of the block behind its header. */
  readonly free: Uint8Array;
}

/** A valid index block, or the first rule that it broke, in the words of Linux's debug log. */
export type IndexCheck = { readonly index: NamespaceIndex } | { readonly refused: string };

/** Bytes of an index block that keeps one bit for each of `nrSlots` (__sizeof_namespace_index). */
function sizeofIndex(nrSlots: number): number {
  return roundUp(HEADER_SIZE + Math.ceil(nrSlots / 8), INDEX_ALIGN);
}

/** How an area of `areaSize` bytes is cut for labels of one size; undefined if it is too small for two of them. */
export function labelGeometry(areaSize: number, labelSize: LabelSize): LabelGeometry | undefined {
  const nrSlots = Math.floor((areaSize - 2 * sizeofIndex(Math.floor(areaSize / labelSize))) / labelSize);
  const indexSize = sizeofIndex(Math.max(0, nrSlots));
  if (nrSlots < 2 || 2 * indexSize > areaSize - nrSlots * labelSize) return undefined;
  return { areaSize, labelSize, indexSize, nrSlots };
}

/** Byte offset of a slot in the area. */
export function slotOffset({ indexSize, labelSize }: LabelGeometry, slot: number): number {
  return 2 * indexSize + slot * labelSize;
}

/** The sequence number after `seq`: 1 → 2 → 3 → 1, and 0, which is none, → 0 (nd_inc_seq). */
export function nextSeq(seq: number): number {
  return [0, 2, 3, 1][seq & 3]!;
}

/** The newer of two sequence numbers; of equal ones, the second (best_seq). */
export function bestSeq(a: number, b: number): number {
  const [first, second] = [a & 3, b & 3];
  if (first === 0 || first === second) return second;
  if (second === 0) return first;
  return nextSeq(first) === second ? second : first;
}

/** The bytes of an index block. `free` is its bitmap, at most `indexSize` − 72 bytes. */
export function encodeIndex(geometry: LabelGeometry, which: IndexNumber, seq: number, free: Uint8Array): Uint8Array {
  const { indexSize, labelSize, nrSlots } = geometry;
  const block = new Uint8Array(indexSize);
  const header = {
    signature: SIGNATURE,
    labelSizeCode: labelSize === 256 ? 1 : 0,
    seq,
    myOffset: BigInt(which * indexSize),
    mySize: BigInt(indexSize),
    otherOffset: BigInt((1 - which) * indexSize),
    labelOffset: BigInt(2 * indexSize),
    nrSlots,
    major: 1,
    minor: labelSize === 256 ? 2 : 1,
    checksum: 0n,
  };
  block.set(free, HEADER_SIZE);
  INDEX.encode(header, block);
  INDEX.encode({ ...header, checksum: fletcher64(block) }, block);
  return block;
}

/** What an index block says, whether or not it is valid: for `read-labels`. */
export function decodeIndex(block: Uint8Array): NamespaceIndex & { readonly signature: string; readonly checksum: bigint } {
  const { signature, seq, nrSlots, major, minor, labelSizeCode, checksum } = INDEX.decode(block);
  return { signature, seq, nrSlots, major, minor, labelSize: 128 * 2 ** labelSizeCode, checksum, free: block.slice(HEADER_SIZE) };
}

/** Try one block against every rule, in Linux's order. `block` is `indexSize` bytes. */
export function checkIndex(geometry: LabelGeometry, which: IndexNumber, block: Uint8Array): IndexCheck {
  const { areaSize, labelSize, indexSize } = geometry;
  const refuse = (what: string): IndexCheck => ({ refused: `nsindex${which} ${what}` });
  const header = INDEX.decode(block);
  const { major, minor, labelSizeCode, seq, nrSlots } = header;
  if (!hasSignature(block)) return refuse('signature invalid');
  // Before v1.2 the code was reserved.
  const claimed = major * 100 + minor >= 102 ? 128 * 2 ** labelSizeCode : 128;
  if (claimed !== labelSize) return refuse(`labelsize ${claimed} invalid`);
  if (checksumOf(block) !== header.checksum) return refuse('checksum invalid');
  if ((seq & 3) === 0) return refuse(`sequence: 0x${seq.toString(16)} invalid`);
  if (header.myOffset !== BigInt(which * indexSize)) return refuse(`myoff: 0x${header.myOffset.toString(16)} invalid`);
  if (header.otherOffset !== BigInt((1 - which) * indexSize)) return refuse(`otheroff: 0x${header.otherOffset.toString(16)} invalid`);
  if (header.labelOffset !== BigInt(2 * indexSize)) return refuse(`labeloff: 0x${header.labelOffset.toString(16)} invalid`);
  if (header.mySize > BigInt(indexSize) || header.mySize < BigInt(HEADER_SIZE)) return refuse(`mysize: 0x${header.mySize.toString(16)} invalid`);
  if (nrSlots * labelSize + 2 * indexSize > areaSize) return refuse(`nslot: ${nrSlots} invalid, config_size: 0x${areaSize.toString(16)}`);
  return { index: { seq, nrSlots, major, minor, labelSize: claimed, free: block.slice(HEADER_SIZE) } };
}

/** All 16 bytes count, the NUL included. */
function hasSignature(block: Uint8Array): boolean {
  return block[SIGNATURE.length] === 0 && [...SIGNATURE].every((char, at) => block[at] === char.charCodeAt(0));
}

function checksumOf(block: Uint8Array): bigint {
  const copy = block.slice();
  copy.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 8);
  return fletcher64(copy);
}
