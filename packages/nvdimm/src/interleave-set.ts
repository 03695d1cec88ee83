/**
 * The cookie that names an interleave set: which DIMMs, in which order. A label whose cookie is not its region's is not of this set.
 * Mirrors drivers/acpi/nfit/core.c: acpi_nfit_init_interleave_set.
 */
import { fletcher64, layout, u16, u32, u64, u8 } from '@holdfast/lib';

/** A DIMM of a set, as the NFIT's memory device and control region tell. */
export interface InterleaveSetDimm {
  /** Byte offset of the DIMM's first line in the region. */
  readonly regionOffset: number;
  readonly serial: number;
  readonly vendor: number;
  readonly manufacturingDate: number;
  readonly manufacturingLocation: number;
}

/** Cookie 1 belongs to v1.1 labels and cookie 2 to v1.2; the alternative one was written by kernels that sorted wrongly. */
export interface InterleaveSetCookies {
  readonly cookie1: bigint;
  readonly cookie2: bigint;
  readonly altCookie: bigint;
}

const INFO = layout('interleave set info', 16, { regionOffset: u64(0), serial: u32(8) });
const INFO2 = layout('interleave set info 2', 48, {
  regionOffset: u64(0),
  serial: u32(8),
  vendor: u16(12),
  manufacturingDate: u16(14),
  manufacturingLocation: u8(16),
});

export function interleaveSetCookies(dimms: readonly InterleaveSetDimm[]): InterleaveSetCookies {
  const sorted = [...dimms].sort((a, b) => a.regionOffset - b.regionOffset).map((dimm) => ({ ...dimm, regionOffset: BigInt(dimm.regionOffset) }));
  const infos = sorted.map((dimm) => bytesOf(INFO, dimm));
  return {
    cookie1: fletcher64(join(infos)),
    cookie2: fletcher64(join(sorted.map((dimm) => bytesOf(INFO2, dimm)))),
    altCookie: fletcher64(join([...infos].sort(compareBytes))),
  };
}

function bytesOf<R>(format: { readonly size: number; encode(record: R, bytes: Uint8Array): void }, record: R): Uint8Array {
  const bytes = new Uint8Array(format.size);
  format.encode(record, bytes);
  return bytes;
}

/** As memcmp does: low byte of the little-endian offset first, which is the wrong order kept alive. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
