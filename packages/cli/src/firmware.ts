/**
 * Reads a firmware description: a directory (`e820.txt`, and where there are any `SRAT`, `SLIT`, `NFIT`, `dimms.json`, `memory-devices.json`, `cmdline`),
 * or a single file, which is then the `e820.txt`. That file may be a whole dmesg, which then tells more than the map.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type E820Firmware, type NosaveRule, parseE820Text } from '@holdfast/e820';
import type { Firmware, FirmwareDimm, KernelConfig } from '@holdfast/kernel';
import { KernelError, parseRelease } from '@holdfast/lib';
import { createConfigArea } from '@holdfast/nvdimm';
import { bootLogLines, zonesHeading } from './facts/boot-log.js';
import type { DimmPlan } from './host/slot-layout.js';
import { parseMemoryDevices } from './memory-devices.js';
import { sratOfLog } from './srat-of-log.js';

export interface LoadedFirmware {
  readonly firmware: Firmware;
  /** What the description says the kernel was given; undefined if it does not. */
  readonly cmdline: string | undefined;
  /** The `Linux version` of a dmesg. */
  readonly release: string | undefined;
  /** Whether the machine is a guest, where a dmesg tells. */
  readonly hypervisor: boolean | undefined;
  /** How the kernel of a dmesg was built, as far as its log shows. */
  readonly config: KernelConfig;
  /** Image files by the handle of their DIMM. */
  readonly dimmImages: ReadonlyMap<number, string>;
  /** DIMMs that no map tells of. */
  readonly memoryDevices: readonly DimmPlan[];
  /** Its firmware can scrub, clear and inject media errors. */
  readonly hasScrub: boolean;
}

const DEVICES = 'memory-devices.json';
const GUEST =
  /^Hypervisor detected|^DMI: (?:QEMU|VMware|innotek|Xen|Google|Amazon EC2|Red Hat KVM|OpenStack|Microsoft Corporation Virtual|Bochs)|paravirtualized kernel on KVM/i;

/** @throws KernelError ENOENT and the like, or EINVAL with file, line and what was expected. */
export function loadFirmware(path: string): LoadedFirmware {
  if (!existsSync(path)) throw new KernelError('ENOENT', `${path}: No such file or directory`);
  const isDirectory = statSync(path).isDirectory();
  const e820Path = isDirectory ? join(path, 'e820.txt') : path;
  const e820 = readText(e820Path);
  const told = parseMap(e820, e820Path);
  const file = (name: string): Uint8Array | undefined => (isDirectory && existsSync(join(path, name)) ? readBytes(join(path, name)) : undefined);
  const [srat, slit, nfit] = [file('SRAT') ?? sratOfLog(bootLogLines(e820)), file('SLIT'), file('NFIT')];
  const dimms = isDirectory && existsSync(join(path, 'dimms.json')) ? readDimms(join(path, 'dimms.json')) : undefined;
  const cmdline = isDirectory && existsSync(join(path, 'cmdline')) ? readText(join(path, 'cmdline')).trim() : told.cmdline;
  const lines = bootLogLines(e820);
  const memoryDevices = isDirectory && existsSync(join(path, DEVICES)) ? parseMemoryDevices(readJson(join(path, DEVICES)), join(path, DEVICES)) : [];
  const tellsWhere = lines.some((line) => line.startsWith('DMI: '));
  return {
    firmware: {
      e820,
      ...(srat ? { srat } : {}),
      ...(slit ? { slit } : {}),
      ...(nfit ? { nfit } : {}),
      ...(dimms ? { dimms: dimms.dimms } : {}),
      ...(memoryDevices.length > 0 ? { takesMemory: true } : {}),
    },
    cmdline,
    release: told.release === undefined ? undefined : readableRelease(told.release),
    hypervisor: tellsWhere ? lines.some((line) => GUEST.test(line)) : undefined,
    config: configOfLog(lines),
    dimmImages: dimms?.images ?? new Map<number, string>(),
    memoryDevices,
    hasScrub: dimms?.hasScrub ?? false,
  };
}

/** A log that lists its zones shows which its kernel has, and in the words of which release it tells of nodes, holes and hibernation. */
function configOfLog(lines: readonly string[]): KernelConfig {
  const zones = zonesHeading(lines);
  if (zones < 0) return {};
  const initmem = lines.findIndex((line) => line.startsWith('Initmem setup node '));
  const holeReport = HOLE_REPORTS.find(([, words]) => lines.some((line) => words.test(line)))?.[0];
  const nosaveRule = nosaveRuleOfLog(lines);
  const hasZone = (name: string): boolean => lines.slice(zones + 1, zones + 6).some((line) => line.startsWith(`  ${name.padEnd(8)} `));
  return {
    zoneDevice: hasZone('Device'),
    ...(hasZone('Normal') ? { zoneDma: hasZone('DMA'), zoneDma32: hasZone('DMA32') } : {}),
    ...(initmem < 0 ? {} : { nodeReport: initmem < zones ? 'arch' : 'mm' }),
    ...(holeReport === undefined ? {} : { holeReport }),
    ...(nosaveRule === undefined ? {} : { nosaveRule }),
    ...(lines.includes('  DMA zone: 56 pages used for memmap') ? { structPageBytes: 56 } : {}), // 16 MiB are 4096 pages
  };
}

/** By RAM no two ranges touch; the first page, which is the BIOS's, shows whether the first entry counted. */
function nosaveRuleOfLog(lines: readonly string[]): NosaveRule | undefined {
  const ranges = lines
    .map((line) => /^PM: (?:hibernation: )?Registered nosave memory: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]/.exec(line))
    .filter((match) => match !== null);
  if (ranges.length < 2) return undefined;
  if (Number(ranges[0]![1]) > 0) return 'entries-after-first';
  const touch = ranges.some(([, start], index) => index > 0 && Number(start) === Number(ranges[index - 1]![2]) + 1);
  return touch ? 'entries' : 'ram-gaps';
}

const HOLE_REPORTS = [
  ['each', /^On node \d+, zone \w+: \d+ pages in unavailable ranges/],
  ['zones', /^ {2}\w+ zone: \d+ pages in unavailable ranges/],
  ['sum', /^Zeroed struct page in unavailable ranges: /],
] as const;

function parseMap(text: string, path: string): E820Firmware {
  try {
    return parseE820Text(text);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError(error.code, `${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** A release that this program can read, or none: a vendor may call a kernel anything. */
function readableRelease(release: string): string | undefined {
  try {
    return parseRelease(release).text;
  } catch {
    return undefined;
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path));
}

/** Node's error in the words of a Unix tool. */
function fileError(path: string, error: unknown): KernelError {
  const code = (error as NodeJS.ErrnoException).code;
  const known = code === 'ENOENT' || code === 'EISDIR' || code === 'EACCES' ? code : 'EIO';
  const words = { ENOENT: 'No such file or directory', EISDIR: 'Is a directory', EACCES: 'Permission denied', EIO: String(error) }[known];
  return new KernelError(known, `${path}: ${words}`, { cause: error });
}

/** What `dimms.json` may hold, for refusals. */
const EXPECTED = 'expected { "handle", "label_size", "media_size" and, if a file keeps the bytes, "image" }, in a list or as "dimms" of { "dimms", "ars" }';

/** DIMMs, and which files keep their bytes; paths are relative to the folder. */
interface DimmsFile {
  readonly dimms: readonly FirmwareDimm[];
  readonly images: ReadonlyMap<number, string>;
  readonly hasScrub: boolean;
}

function readDimms(path: string): DimmsFile {
  const parsed = readJson(path);
  const list: unknown = Array.isArray(parsed) ? parsed : (parsed as { dimms?: unknown } | null)?.dimms;
  const ars: unknown = Array.isArray(parsed) ? false : ((parsed as { ars?: unknown } | null)?.ars ?? false);
  if (!Array.isArray(list)) throw new KernelError('EINVAL', `${path}: ${EXPECTED}`);
  if (typeof ars !== 'boolean') {
    throw new KernelError('EINVAL', `${path}: ars is ${JSON.stringify(ars)}; expected true where the firmware can scrub, clear and inject errors`);
  }
  const images = new Map<number, string>();
  const dimms = list.map((entry: unknown, index) => {
    const { dimm, image } = readDimm(path, index, entry);
    if (image !== undefined) images.set(dimm.handle, image);
    return dimm;
  });
  const twice = dimms.find(({ handle }, index) => dimms.findIndex((dimm) => dimm.handle === handle) !== index);
  if (twice) throw new KernelError('EINVAL', `${path}: handle ${twice.handle} is given twice`);
  return { dimms, images, hasScrub: ars };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readText(path));
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw new KernelError('EINVAL', `${path}: no JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function readDimm(path: string, index: number, value: unknown): { dimm: FirmwareDimm; image: string | undefined } {
  const entry = value as Record<string, unknown> | null;
  const refuse = (field: string): KernelError =>
    new KernelError('EINVAL', `${path}: entry ${index}: ${field} is ${JSON.stringify(entry?.[field])}; ${EXPECTED}`);
  const number = (field: string): number => {
    const found = entry?.[field];
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) throw refuse(field);
    return found;
  };
  const [handle, labelSizeBytes, mediaSizeBytes] = [number('handle'), number('label_size'), number('media_size')];
  const image = entry?.['image'];
  if (image !== undefined && (typeof image !== 'string' || image === '')) throw refuse('image');
  // Made once for the machine, so that its bytes are there at the next boot. One in an image takes its place.
  const labelArea = labelSizeBytes > 0 ? { labelArea: createConfigArea(labelSizeBytes) } : {};
  return { dimm: { handle, labelSizeBytes, mediaSizeBytes, ...labelArea }, image: image === undefined ? undefined : resolve(dirname(path), image) };
}
