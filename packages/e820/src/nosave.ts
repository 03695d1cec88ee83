/**
 * Memory that hibernation must not save: all that is not RAM.
 * Mirrors arch/x86/kernel/e820.c: e820__register_nosave_regions, and kernel/power/snapshot.c: register_nosave_region.
 *
 * Three rules, by release. The older two go entry by entry, so that touching entries give a line each, and the page that a reserved entry
 * shares with its neighbour may get lost; until 3.16 the first entry was passed over, as if it were RAM. 6.15 goes from RAM to RAM, and the
 * stable kernels of April 2025 took that over.
 */
import { type KernelRelease, PAGE_SIZE, type Pfn, memRange, pfn, releaseAtLeast } from '@holdfast/lib';
import type { E820Log } from './log.js';
import type { E820Entry } from './entry.js';
import type { E820Table } from './table.js';
import { E820_TYPE_RAM, E820_TYPE_RESERVED_KERN } from './types.js';
import { u64 } from './u64.js';

/** `[start, end)` in frames. */
export interface NosaveRegion {
  readonly start: Pfn;
  readonly end: Pfn;
}

/** Entry by entry from the second on, or from the first on, or from RAM to RAM. */
export type NosaveRule = 'entries-after-first' | 'entries' | 'ram-gaps';

/** The rule of a release; what a distribution took over into an earlier one shows in no number. */
export function nosaveRuleOf(release: KernelRelease): NosaveRule {
  if (goesByRamGaps(release)) return 'ram-gaps';
  return releaseAtLeast(release, 3, 17) ? 'entries' : 'entries-after-first';
}

/** Register all regions up to `limitPfn` and print a line for each. The table must be sorted. */
export function registerNosaveRegions(table: E820Table, limitPfn: number, log: E820Log, rule = nosaveRuleOf(log.release)): NosaveRegion[] {
  const limit = BigInt(limitPfn);
  const found = rule === 'ram-gaps' ? ramGaps(table, limit) : entryGaps(table, limit, rule);
  const regions = found.filter(([start, end]) => start < end);
  for (const [start, end] of regions) log.printk(nosaveLine(start, end, log.release));
  return regions.map(([start, end]) => ({ start: pfn(Number(start)), end: pfn(Number(end)) }));
}

type Frames = readonly [start: bigint, end: bigint];
const PAGE = BigInt(PAGE_SIZE);

function ramGaps({ entries }: E820Table, limit: bigint): Frames[] {
  const gaps: Frames[] = [];
  let lastEnd = 0n;
  for (const entry of entries) {
    if (!isRam(entry)) continue;
    gaps.push([lastEnd / PAGE, (entry.addr + PAGE - 1n) / PAGE]);
    lastEnd = u64(entry.addr + entry.size);
  }
  return [...gaps, [lastEnd / PAGE, limit]];
}

function entryGaps({ entries }: E820Table, limit: bigint, rule: NosaveRule): Frames[] {
  const gaps: Frames[] = [];
  let frame = 0n;
  for (const [index, entry] of entries.entries()) {
    const start = (entry.addr + PAGE - 1n) / PAGE;
    const takenForRam = index === 0 && rule === 'entries-after-first';
    if (!takenForRam) gaps.push([frame, start]);
    frame = u64(entry.addr + entry.size) / PAGE;
    if (takenForRam) continue;
    if (!isRam(entry)) gaps.push([start, frame]);
    if (frame >= limit) break;
  }
  return gaps;
}

function isRam({ type }: E820Entry): boolean {
  return type === E820_TYPE_RAM || type === E820_TYPE_RESERVED_KERN;
}

function nosaveLine(start: bigint, end: bigint, release: KernelRelease): string {
  const prefix = releaseAtLeast(release, 5, 6) ? 'PM: hibernation' : 'PM';
  const digits = (frame: bigint): string => (frame * PAGE).toString(16).padStart(16, '0');
  const range = releaseAtLeast(release, 3, 12) ? memRange(start * PAGE, end * PAGE - 1n) : `${digits(start)} - ${digits(end)}`;
  return `${prefix}: Registered nosave memory: ${range}`;
}

/** The stable series that took the rule of 6.15 over, and from which of their updates on. */
const BACKPORTED_FROM: Readonly<Record<string, number>> = {
  '5.4': 293, '5.10': 237, '5.15': 181, '6.1': 135, '6.6': 88, '6.12': 24, '6.13': 12, '6.14': 3,
};

/**
 * A release says which update it is in its third number, except a distribution's: `6.1.0-56-amd64` may be any 6.1.
 * 6.1 without an update is the kernel of the captures, and that goes by RAM.
 */
function goesByRamGaps(release: KernelRelease): boolean {
  if (releaseAtLeast(release, 6, 15)) return true;
  const { major, minor, text } = release;
  const update = Number(/^\d+\.\d+\.(\d+)/.exec(text)?.[1] ?? 0);
  if (major === 6 && minor === 1 && update === 0) return true;
  return update >= (BACKPORTED_FROM[`${major}.${minor}`] ?? Infinity);
}
