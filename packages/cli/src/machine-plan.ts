/**
 * Which media a machine needs for what its firmware and its user say of memory.
 *
 * - RAM-like rows of the map (usable, ACPI, soft reserved) are DRAM.
 * - Rows of type 7 and 12, NFIT's ranges of persistent memory, and what `memmap=` makes type 7 or 12 are NVDIMMs: a user who protects a
 *   range declares that its bytes survive power loss, so here they do, even where the map has nothing.
 * - `reserved` has nothing behind it: firmware and devices are not simulated.
 */
import { parseNfit, parseSrat, spaType } from '@holdfast/acpi';
import {
  type E820Entry, E820_TYPE_ACPI, E820_TYPE_NVS, E820_TYPE_PMEM, E820_TYPE_PRAM, E820_TYPE_RAM, E820_TYPE_SOFT_RESERVED, type E820Firmware,
  finishE820EarlyParams, parseE820Text, setupE820Memory,
} from '@holdfast/e820';
import type { Firmware } from '@holdfast/kernel';
import { type KernelRelease, KernelError, KernelPanic, PAGE_SIZE, parseCmdline, silentPrintk } from '@holdfast/lib';
import { MAX_CPUS } from '@holdfast/machine';

/** `[start, end)` bytes of one medium. */
export interface MediumPlan {
  readonly kind: 'dram' | 'nvdimm';
  readonly start: number;
  readonly end: number;
  /** The image file that keeps the bytes; in memory without one. */
  readonly image?: string;
  /** Bytes of label area behind them in the image. */
  readonly labelBytes?: number;
}

export interface MachinePlan {
  readonly media: readonly MediumPlan[];
  /** 46 with 4-level paging, or 52 where the map, or a dmesg's max_arch_pfn, asks for more. */
  readonly physBits: 46 | 52;
  /** As many as the SRAT has enabled processors, or one. */
  readonly nrCpus: number;
}

export interface PlanInput {
  readonly firmware: Firmware;
  readonly cmdline: string;
  readonly release: KernelRelease;
  /** Image files by the first byte of their range. */
  readonly images?: ReadonlyMap<number, string>;
  /** Where one NVDIMM ends and another begins, though the map shows them as one range. */
  readonly bounds?: readonly number[];
  /** Bytes of label area of the NVDIMM at an address. */
  readonly labels?: ReadonlyMap<number, number>;
  readonly la57?: boolean;
}

const RAM_TYPES: readonly number[] = [E820_TYPE_RAM, E820_TYPE_ACPI, E820_TYPE_NVS, E820_TYPE_SOFT_RESERVED];
const PMEM_TYPES: readonly number[] = [E820_TYPE_PMEM, E820_TYPE_PRAM];
const FOUR_LEVEL = 2 ** 46;

interface Span {
  readonly start: number;
  readonly end: number;
}

/** @throws KernelError EINVAL for a map or table that cannot be read. */
export function planMachine(input: PlanInput): MachinePlan {
  const { firmware, cmdline, release, images = new Map<number, string>(), labels = new Map<number, number>(), bounds = [], la57 } = input;
  const told = parseE820Text(firmware.e820);
  const rows = [...told.entries, ...told.extended];
  const pmemRows = [...rows, ...userRows(told, cmdline, release)].filter(({ type }) => PMEM_TYPES.includes(type));
  const merged = mergeSpans([...pmemRows.map((row) => spanOf(row, 1)), ...nfitSpans(firmware.nfit)], [...images.keys(), ...labels.keys()]);
  const nvdimms = bounds.reduce(cutAt, merged);
  const dram = subtractSpans(mergeSpans(rows.filter(({ type }) => RAM_TYPES.includes(type)).map((row) => spanOf(row, PAGE_SIZE))), nvdimms);
  const media: MediumPlan[] = [
    ...dram.map((span) => ({ kind: 'dram' as const, ...span })),
    ...nvdimms.map((span) => ({
      kind: 'nvdimm' as const,
      ...span,
      ...(images.has(span.start) ? { image: images.get(span.start)! } : {}),
      ...(labels.has(span.start) ? { labelBytes: labels.get(span.start)! } : {}),
    })),
  ];
  const top = Math.max(0, ...media.map(({ end }) => end));
  const wide = la57 ?? ((told.maxArchPfn ?? 0) * PAGE_SIZE > FOUR_LEVEL || top > FOUR_LEVEL);
  const processors = firmware.srat ? parseSrat(firmware.srat).processors.filter(({ enabled }) => enabled).length : 0;
  return { media, physBits: wide ? 52 : 46, nrCpus: Math.min(Math.max(1, processors), MAX_CPUS) };
}

/** The map after the user's edits. What panics the kernel later leaves the firmware's map here. */
function userRows(firmware: E820Firmware, cmdline: string, release: KernelRelease): readonly E820Entry[] {
  try {
    const params = parseCmdline(cmdline);
    const setup = setupE820Memory({ firmware, params, release, printk: silentPrintk, maxArchPfn: 2 ** 40 });
    finishE820EarlyParams(setup);
    return setup.table.entries;
  } catch (error) {
    if (error instanceof KernelPanic) return [];
    throw error;
  }
}

function nfitSpans(nfit: Uint8Array | undefined): Span[] {
  if (!nfit) return [];
  return parseNfit(nfit).spaRanges
    .filter(({ typeGuid, length }) => spaType(typeGuid) === 'pm' && length > 0)
    .map(({ address, length }) => ({ start: address, end: address + length }));
}

/** A row in whole grains: RAM outwards to pages. */
function spanOf({ addr, size }: E820Entry, grain: number): Span {
  const end = Number(addr + size);
  if (!Number.isSafeInteger(end)) {
    throw new KernelError('EINVAL', `memory map: a range ends at 0x${(addr + size).toString(16)}; at most 2^53 bytes can be addressed`);
  }
  return { start: Math.floor(Number(addr) / grain) * grain, end: Math.ceil(end / grain) * grain };
}

/** Sorted, without overlaps; what touches becomes one, except at `seams`. */
function mergeSpans(spans: readonly Span[], seams: readonly number[] = []): Span[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (end <= start) continue;
    if (last && (start < last.end || (start === last.end && !seams.includes(start)))) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

function cutAt(spans: Span[], at: number): Span[] {
  return spans.flatMap((span) => (span.start < at && at < span.end ? [{ start: span.start, end: at }, { start: at, end: span.end }] : [span]));
}

/** The parts of `spans` that no `hole` covers; both sorted and disjoint. */
function subtractSpans(spans: readonly Span[], holes: readonly Span[]): Span[] {
  return spans.flatMap((span) => {
    const left: Span[] = [];
    let at = span.start;
    for (const hole of holes) {
      if (hole.end <= at || hole.start >= span.end) continue;
      if (hole.start > at) left.push({ start: at, end: hole.start });
      at = Math.max(at, hole.end);
    }
    if (at < span.end) left.push({ start: at, end: span.end });
    return left;
  });
}
