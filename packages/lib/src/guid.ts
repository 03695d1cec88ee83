/**
 * GUIDs as EFI and ACPI store them: the first three fields little-endian (include/linux/uuid.h: guid_t).
 */
import { KernelError } from './kernel-error.js';

/** The order in which the text's byte pairs lie in the 16 bytes. */
const MIXED_ENDIAN = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** The lower-case text of the 16 bytes at `at`. */
export function formatGuid(bytes: Uint8Array, at = 0): string {
  const hex = MIXED_ENDIAN.map((index) => bytes[at + index]!.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The 16 bytes of a GUID's text. @throws KernelError EINVAL */
export function parseGuid(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) {
    throw new KernelError('EINVAL', `GUID '${text}': expected 8-4-4-4-12 hexadecimal digits`);
  }
  const pairs = text.replaceAll('-', '').match(/../g)!;
  return Uint8Array.from(MIXED_ENDIAN, (index) => parseInt(pairs[index]!, 16));
}
