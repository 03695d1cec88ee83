/**
 * What a boot made of a memory map, read from the kernel that booted: its log, /proc/iomem, and the regions and disks under /sys.
 */
import { formatLogLine } from '@holdfast/kernel';
import { KERN } from '@holdfast/lib';
import { dirAt, naturalOrder, textAt } from '../facts/sysfs.js';
import { parseBootLog } from '../facts/boot-log.js';
import type { System } from '../system.js';

/** Bytes `[start, end)`, and what is there. */
export interface Row {
  readonly start: number;
  readonly end: number;
  /** As the log and /proc/iomem say it. */
  readonly type: string;
}

export interface LegacyRegion {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** Bytes: what sizes in it are multiples of. */
  readonly align: number;
  /** Where its accesses are near, and the node that it would be as RAM; undefined where none is known, so that kmem refuses it. */
  readonly node: number | undefined;
  readonly targetNode: number | undefined;
  /** Undefined where no driver took it. */
  readonly disk: string | undefined;
}

export interface BootLook {
  /** Why it did not come up. */
  readonly panic: string | undefined;
  /** What the kernel goes by: the firmware's map as the options changed it. */
  readonly map: readonly Row[];
  readonly regions: readonly LegacyRegion[];
  /** System RAM of /proc/iomem, without what the kernel image and a crash kernel hold. */
  readonly freeRam: readonly Row[];
  /** Bytes of System RAM. */
  readonly ramBytes: number;
  readonly hasCrashKernel: boolean;
  /** What PCI host bridges decode. */
  readonly bridgeWindows: readonly Row[];
  /** Warnings and errors of the log. */
  readonly complaints: readonly string[];
}

export function lookAt(system: System): BootLook {
  const { log, root, panic } = system;
  const { e820 } = parseBootLog(log.lines.map(({ text }) => text).join('\n'));
  const rows = e820.user.length > 0 ? e820.user : e820.bios;
  const iomem = iomemRows(textAt(root, '/proc/iomem') ?? '');
  const ram = iomem.filter(({ type }) => type === 'System RAM');
  const taken = iomem.filter(({ type }) => type.startsWith('Kernel ') || type === 'Crash kernel');
  return {
    panic,
    map: rows.map(({ start, end, type }) => ({ start: Number(start), end: Number(end) + 1, type })),
    regions: legacyRegions(system),
    freeRam: taken.reduce<readonly Row[]>((left, hole) => left.flatMap((row) => without(row, hole)), ram),
    ramBytes: ram.reduce((sum, { start, end }) => sum + end - start, 0),
    hasCrashKernel: taken.some(({ type }) => type === 'Crash kernel'),
    bridgeWindows: iomem.filter(({ type }) => type.startsWith('PCI Bus ')),
    complaints: log.lines.filter(({ level }) => level <= KERN.warning).map((line) => formatLogLine(line).replace(/^\[[^\]]*\] /, '')),
  };
}

function iomemRows(text: string): Row[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*([0-9a-f]+)-([0-9a-f]+) : (.*)$/.exec(line);
    return match ? [{ start: parseInt(match[1]!, 16), end: parseInt(match[2]!, 16) + 1, type: match[3]! }] : [];
  });
}

function without(row: Row, hole: Row): Row[] {
  if (hole.end <= row.start || hole.start >= row.end) return [row];
  return [{ ...row, end: hole.start }, { ...row, start: hole.end }].filter(({ start, end }) => start < end);
}

/** Those of the bus that drives ranges of the e820 map. */
function legacyRegions({ root }: System): LegacyRegion[] {
  const folder = '/sys/bus/nd/devices';
  const buses = [...(dirAt(root, folder)?.list() ?? [])].filter((name) => name.startsWith('ndbus') && textAt(root, `${folder}/${name}/provider`) === 'e820');
  return buses
    .flatMap((bus) => [...(dirAt(root, `${folder}/${bus}`)?.list() ?? [])].filter((name) => /^region\d+$/.test(name)))
    .sort(naturalOrder)
    .map((name) => {
      const number = (attribute: string): number | undefined => {
        const text = textAt(root, `${folder}/${name}/${attribute}`);
        return text === undefined ? undefined : Number(text);
      };
      const [start = 0, size = 0, node] = [number('resource'), number('size'), number('numa_node')];
      return {
        name, start, end: start + size, align: number('align') ?? 1,
        node: node === undefined || node < 0 ? undefined : node,
        targetNode: number('target_node'),
        disk: [...(dirAt(root, `${folder}/namespace${name.slice('region'.length)}.0/block`)?.list() ?? [])][0],
      };
    });
}
