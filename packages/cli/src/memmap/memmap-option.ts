/** The text of a `memmap=` option. */
import { GIB, KIB, MIB, hex } from '@holdfast/lib';

/** `memmap=2G!4G`: protect a range as persistent memory. Bytes, in the largest unit that gives a whole number. */
export function memmapOption({ start, sizeBytes }: { readonly start: number; readonly sizeBytes: number }): string {
  return `memmap=${exactSize(sizeBytes)}!${exactSize(start)}`;
}

/** `512M`: cut to whole MiB, for people. */
export function wholeMib(bytes: number): string {
  return `${Math.floor(bytes / MIB)}M`;
}

/** As memparse reads it back. */
export function exactSize(bytes: number): string {
  for (const [unit, letter] of [[GIB, 'G'], [MIB, 'M'], [KIB, 'K']] as const) if (bytes > 0 && bytes % unit === 0) return `${bytes / unit}${letter}`;
  return bytes === 0 ? '0' : hex(bytes);
}
