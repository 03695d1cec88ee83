/**
 * The lines that the memory map writes to the log, as each release wrote them.
 * Mirrors the printk calls of arch/x86/kernel/e820.c.
 *
 * Until 4.17 most lines carried an `e820: ` of their own; 4.18 left it to the edits and the RAM buffers.
 * Differs from Linux: releases before 3.5 printed rows as `start - end (type)`; here they print as 3.5 does.
 */
import { KERN, type KernelRelease, type Printk, hex16, memRange, releaseAtLeast } from '@holdfast/lib';
import type { E820Entry } from './entry.js';
import { e820TypeName } from './types.js';
import { lastByte } from './u64.js';

/** Where lines go, and in whose words. */
export interface E820Log {
  readonly printk: Printk;
  readonly release: KernelRelease;
}

/** `e820: ` where that release prefixed its lines with it, else nothing. */
export function e820Prefix(release: KernelRelease): string {
  return releaseAtLeast(release, 4, 18) ? '' : 'e820: ';
}

/** Print a heading and a row for each entry (e820__print_table). */
export function printE820Map(entries: readonly E820Entry[], heading: string, who: string, { printk, release }: E820Log): void {
  printk(`${heading} physical RAM map:`);
  for (const entry of entries) printk(`${who}: ${e820Row(entry, release)}`);
}

function e820Row({ addr, size, type }: E820Entry, release: KernelRelease): string {
  return `[mem ${hex16(addr)}-${hex16(lastByte(addr, size))}] ${e820TypeName(type, release)}`;
}

/** `e820: update [mem …] usable ==> reserved` for `[start, end)`. */
export function printE820Update(start: bigint, end: bigint, oldType: number, newType: number, { printk, release }: E820Log): void {
  const types = `${e820TypeName(oldType, release)} ==> ${e820TypeName(newType, release)}`;
  printk(`e820: update ${memRange(start, lastByte(end))} ${types}`, KERN.debug);
}

/** `e820: remove [mem …] usable` for `[start, end)`; an untyped removal leaves the blank and no name. */
export function printE820Remove(start: bigint, end: bigint, oldType: number | undefined, { printk, release }: E820Log): void {
  printk(`e820: remove ${memRange(start, lastByte(end))} ${oldType === undefined ? '' : e820TypeName(oldType, release)}`, KERN.debug);
}
