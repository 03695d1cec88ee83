/**
 * CRC-32C, the Castagnoli polynomial reflected, as ext4 and XFS sum their metadata. Mirrors lib/crc32.c: __crc32c_le.
 */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Where a sum begins. */
export const CRC32C_SEED = 0xffff_ffff;

/** Go on with a sum over more bytes; neither start nor end is complemented here: ext4 stores it so, XFS complements it. */
export function crc32c(crc: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return crc >>> 0;
}

/** The same over a 32-bit number, little-endian. */
export function crc32cWord(crc: number, word: number): number {
  return crc32c(crc, Uint8Array.of(word, word >>> 8, word >>> 16, word >>> 24));
}
