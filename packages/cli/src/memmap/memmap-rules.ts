/**
 * What there is to say against a `memmap=` option, from two boots of the same machine: without it and with it.
 */
import { SWIOTLB_DEFAULT_SIZE } from '@holdfast/kernel';
import { GIB, MIB, SECTION_SIZE, SUBSECTION_SIZE, hex, isAligned, roundDown, roundUp } from '@holdfast/lib';
import type { BootLook, LegacyRegion, Row } from './boot-look.js';
import { exactSize, memmapOption, wholeMib } from './memmap-option.js';

export interface MemmapWarning {
  /** Which rule. */
  readonly rule: string;
  /** An error: it will not do what is wanted. A note: worth knowing. */
  readonly level: 'error' | 'warning' | 'note';
  readonly text: string;
  /** An option that the rule has nothing against. */
  readonly nearest?: string;
}

/** A machine's map below which PCI devices, the initrd and buffers for devices have their places. */
const LOW = 4 * GIB;
/** With an initrd of a distribution beside it. */
const LOW_ROOM = 256 * MIB;

export interface MemmapLooks {
  readonly before: BootLook;
  readonly after: BootLook;
  /** Where the boot loader put the initrd, if the description is a log that tells. */
  readonly initrd?: Row | undefined;
}

/** In order of weight. */
export function memmapWarnings({ before, after, initrd }: MemmapLooks): MemmapWarning[] {
  if (after.panic !== undefined) return [{ rule: 'boot', level: 'error', text: `the kernel does not come up: ${after.panic}` }];
  const changed = protectedRows(before, after);
  if (changed.length === 0) return [noPersistentMemory(before, after)];
  const warnings = [
    ...changed.flatMap((row) => notRam(row, before)),
    ...changed.flatMap((row) => belowFourGib(row)),
    ...lowRoom(before, after),
    ...(initrd ? changed.filter((row) => overlap(row, initrd)).map(() => initrdInRange(initrd)) : []),
    ...(before.hasCrashKernel && !after.hasCrashKernel
      ? [{ rule: 'crashkernel', level: 'warning', text: 'no room is left for the crash kernel that crashkernel= asks for' } as const]
      : []),
    ...remaining(before, after),
    ...pieces(after),
    ...after.regions.flatMap((region) => alignment(region, { before, after })),
    ...after.regions.flatMap((region) => nodes(region)),
  ];
  const weight = { error: 0, warning: 1, note: 2 };
  return warnings.sort((a, b) => weight[a.level] - weight[b.level]);
}

function noPersistentMemory(before: BootLook, after: BootLook): MemmapWarning {
  const others = after.map.filter(
    (row) => row.type !== 'usable' && !before.map.some(({ start, end, type }) => start === row.start && end === row.end && type === row.type),
  );
  if (others.length === 0 && after.ramBytes < before.ramBytes) {
    return {
      rule: 'mem',
      level: 'error',
      text: 'it makes no persistent memory, but takes RAM away, as mem= does; expected memmap=SIZE!START, such as memmap=4G!12G',
    };
  }
  if (others.length === 0) return { rule: 'ignored', level: 'error', text: 'it changes nothing in the map; expected memmap=SIZE!START, such as memmap=4G!12G' };
  return { rule: 'no-pmem', level: 'warning', text: `it makes no persistent memory, but ${others.map((row) => `${range(row)} ${row.type}`).join(', ')}` };
}

/** The rows of persistent memory that the option made. */
export function protectedRows(before: BootLook, after: BootLook): Row[] {
  const isPmem = ({ type }: Row): boolean => type.startsWith('persistent');
  const had = before.map.filter(isPmem);
  return after.map.filter((row) => isPmem(row) && !had.some(({ start, end }) => start === row.start && end === row.end));
}

function overlap(a: Row, b: Row): boolean {
  return a.start < b.end && b.start < a.end;
}

/** What of a range is no RAM of the map without the option: what the firmware keeps, and what is nothing at all. */
function notRam(row: Row, { map }: BootLook): MemmapWarning[] {
  const inside = [...map].filter((each) => overlap(each, row)).sort((a, b) => a.start - b.start);
  const parts: Row[] = [];
  let at = row.start;
  for (const { start, end, type } of inside) {
    if (start > at) parts.push({ start: at, end: start, type: 'nothing' });
    if (type !== 'usable') parts.push({ start: Math.max(start, row.start), end: Math.min(end, row.end), type });
    at = Math.max(at, end);
  }
  if (at < row.end) parts.push({ start: at, end: row.end, type: 'nothing' });
  return parts.map((part) => ({
    rule: 'not-ram',
    level: 'error',
    text: `${range(part)} is ${part.type === 'nothing' ? 'a hole: there is no memory behind it, or a device' : `'${part.type}' in the firmware's map`}, and would be written to as a disk`,
  }));
}

function belowFourGib(row: Row): MemmapWarning[] {
  if (row.start >= LOW) return [];
  return [
    {
      rule: 'below-4g',
      level: 'warning',
      text: `${range(row)} lies below 4 GiB, where firmware, PCI devices, the kernel and its buffers have their places`,
    },
  ];
}

function lowRoom(before: BootLook, after: BootLook): MemmapWarning[] {
  const largest = ({ freeRam }: BootLook): number =>
    Math.max(0, ...freeRam.filter(({ start }) => start >= MIB && start < LOW).map(({ start, end }) => Math.min(end, LOW) - start));
  const left = largest(after);
  if (left >= LOW_ROOM || left === largest(before)) return [];
  const needsBounce = after.freeRam.some(({ end }) => end > LOW);
  const text = `the largest free piece of RAM below 4 GiB has ${wholeMib(left)}: the initrd goes there, and SWIOTLB, which takes ${exactSize(SWIOTLB_DEFAULT_SIZE)} where RAM lies above 4 GiB`;
  return [{ rule: 'low-ram', level: needsBounce && left < SWIOTLB_DEFAULT_SIZE ? 'error' : 'warning', text }];
}

function initrdInRange(initrd: Row): MemmapWarning {
  return {
    rule: 'initrd',
    level: 'warning',
    text: `the boot loader of this log put the initrd at ${range(initrd)}, inside the range: it must find another place`,
  };
}

function remaining(before: BootLook, after: BootLook): MemmapWarning[] {
  if (after.ramBytes >= GIB || after.ramBytes === before.ramBytes) return [];
  return [{ rule: 'remaining-ram', level: 'warning', text: `${wholeMib(after.ramBytes)} of RAM are left` }];
}

function pieces({ regions }: BootLook): MemmapWarning[] {
  if (regions.length < 2) return [];
  const seams = regions.slice(1).filter((region, index) => regions[index]!.end === region.start).map(({ start }) => hex(start));
  if (seams.length === 0) return [];
  return [{ rule: 'pieces', level: 'warning', text: `a range of several rows of the map is several disks, never one: seams at ${seams.join(', ')}` }];
}

function alignment(region: LegacyRegion, { before, after: { complaints, bridgeWindows } }: MemmapLooks): MemmapWarning[] {
  const { name, start, end, align, disk } = region;
  const aligned = (grain: number): Row => ({ start: roundUp(start, grain), end: roundDown(end, grain), type: '' });
  const better = (grain: number): { nearest?: string } => {
    const { start: from, end: to } = aligned(grain);
    return from < to && notRam({ start: from, end: to, type: '' }, before).length === 0 ? { nearest: memmapOption({ start: from, sizeBytes: to - from }) } : {};
  };
  if (disk === undefined) {
    // Its last word before the driver core's: what comes first may be said of any disk.
    const said = complaints.findLast((line) => line.includes(`namespace${name.slice('region'.length)}.0: `));
    const rule = isAligned(start, SUBSECTION_SIZE) && isAligned(end, SUBSECTION_SIZE) ? 'no-disk' : 'align-2m';
    const others = said?.includes('could not reserve') ? bridgeWindows.filter((window) => overlap(window, { start, end, type: '' })) : [];
    const inTheWay = others.map((window) => `; the PCI host bridge decodes ${range(window)} of it`);
    return [{ rule, level: 'error', text: `${name} has no disk: ${said ?? 'no driver took it'}${inTheWay.join('')}`, ...better(SUBSECTION_SIZE) }];
  }
  if (!isAligned(end - start, align) || !isAligned(start, align)) {
    return [
      {
        rule: 'align-16m',
        level: 'warning',
        text: `${name} does not start or end on its alignment, ${exactSize(align)}: ndctl create-namespace refuses it as it is`,
        ...better(16 * MIB),
      },
    ];
  }
  if (!isAligned(start, SECTION_SIZE) || !isAligned(end, SECTION_SIZE)) {
    return [
      {
        rule: 'align-section',
        level: 'note',
        text: `${name} shares a section of 128M with its neighbours: as RAM it loses what is not whole memory blocks`,
        ...better(SECTION_SIZE),
      },
    ];
  }
  if (!isAligned(start, GIB)) {
    return [
      {
        rule: 'align-1g',
        level: 'note',
        text: `${name} does not start at a multiple of 1G: with pages of 1 GiB what lies before the next one is lost`,
        ...better(GIB),
      },
    ];
  }
  return [];
}

function nodes({ name, targetNode }: LegacyRegion): MemmapWarning[] {
  if (targetNode !== undefined) return [];
  return [
    {
      rule: 'target-node',
      level: 'note',
      text: `no node is known for ${name}, so that it cannot become RAM (daxctl reconfigure-device --mode=system-ram): without an SRAT, RAM must lie above it`,
    },
  ];
}

export function range({ start, end }: Pick<Row, 'start' | 'end'>): string {
  return `${hex(start)}-${hex(end - 1)}`;
}
