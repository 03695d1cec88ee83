/**
 * The two sums that on-media formats of this field carry.
 */

/**
 * Fletcher64 over little-endian 32-bit words, as lib/nd_fletcher64 in drivers/nvdimm/core.c: two 32-bit sums, hi in the upper half.
 * A tail of fewer than four bytes is left out, as there.
 */
export function fletcher64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let lo = 0;
  let hi = 0;
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    lo = (lo + view.getUint32(at, true)) >>> 0;
    // Linux sums in 64 bits, of which only the low half comes out.
    hi = (hi + lo) >>> 0;
  }
  return (BigInt(hi) << 32n) | BigInt(lo);
}

const CRC32_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** CRC-32, reflected IEEE polynomial, initial and final complement: what GPT headers carry (UEFI 2.10, 5.3.2). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC32_TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}
