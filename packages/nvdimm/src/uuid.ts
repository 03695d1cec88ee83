/**
 * UUIDs as labels and info blocks store them: bytes in the order of the text (include/linux/uuid.h: uuid_t), unlike the GUIDs of EFI and ACPI.
 * Here a UUID is its lower-case text; it meets bytes only in the formats that carry it.
 */
import { KernelError, formatGuid, parseGuid } from '@holdfast/lib';
import type { Field } from '@holdfast/lib';

/** The UUID of what has none: all zeros on media. */
export const NULL_UUID = '00000000-0000-0000-0000-000000000000';

export function formatUuid(bytes: Uint8Array, at = 0): string {
  const hex = Array.from(bytes.subarray(at, at + 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The 16 bytes of a UUID's text. @throws KernelError EINVAL */
export function parseUuid(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new KernelError('EINVAL', `UUID '${text}': expected 8-4-4-4-12 hexadecimal digits`);
  }
  return Uint8Array.from(text.replaceAll('-', '').match(/../g)!, (pair) => parseInt(pair, 16));
}

/** A field that holds a UUID, bytes in text order. */
export function uuid(at: number): Field<string> {
  return textField(at, formatUuid, parseUuid);
}

/** A field that holds a GUID, its first three parts little-endian. */
export function guid(at: number): Field<string> {
  return textField(at, formatGuid, parseGuid);
}

function textField(at: number, format: (bytes: Uint8Array, at: number) => string, parse: (text: string) => Uint8Array): Field<string> {
  const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return { at, size: 16, read: (view, pos) => format(bytesOf(view), pos), write: (view, pos, text) => bytesOf(view).set(parse(text), pos) };
}
