/**
 * Reading the memory map, and what else a boot needs to know of a machine, out of a kernel log.
 *
 * Takes a few `BIOS-e820:` lines or a whole log, as dmesg, journalctl, syslog or a serial console wrote it: with or without levels,
 * timestamps, host names; of Linux 2.4 (`size @ start`), of 2.6 to 3.4 (`start - end`, the end exclusive) or of any later one. Only the
 * first boot in a log counts.
 *
 * Differs from what the kernel had: rows come out as printed, after sanitising; RESERVED_KERN reads as RAM, for it prints alike.
 */
import { KernelError } from '@holdfast/lib';
import { type EfiMemoryDescriptor, type EfiMmio, EFI_MEMORY_TYPE } from './efi.js';
import type { AddressRange, E820Entry } from './entry.js';
import { type E820Firmware, type LateEdit, plainFirmware } from './firmware.js';
import { E820_TYPE_RAM, e820TypeFromName } from './types.js';
import { u64 } from './u64.js';

/**
 * Read a log or a piece of one.
 * @throws KernelError EINVAL with the line, its number and what was expected, if there is no map or a row of it is garbled.
 */
export function parseE820Text(text: string): E820Firmware {
  const log = new LogReader();
  const lines = text.replaceAll(ANSI_COLOUR, '').split(LINE_END);
  for (const [index, line] of lines.entries()) {
    if (line.startsWith('#')) continue;
    if (log.entries.length > 0 && NEXT_BOOT.test(line)) break;
    log.read(line, index + 1);
  }
  if (log.entries.length === 0) {
    throw new KernelError('EINVAL', `no memory map in ${lines.length} lines: expected lines such as 'BIOS-e820: ${EXAMPLE_ROW}'`);
  }
  return log.firmware();
}

const EXAMPLE_ROW = '[mem 0x0000000000100000-0x000000007ffdffff] usable';
/** A NUL ends a line too: log files have them where a machine lost power. */
const LINE_END = /\r\n|[\n\r\0]/;
/** The escape sequences of a coloured terminal. */
const ANSI_COLOUR = /\u001b\[[\d;]*m/g;

/** What may stand before a message: nothing, or anything that ends as a timestamp, a level or a host name does. */
const START = String.raw`(?:^|[\]>:;|])\s{0,8}`;
const NEXT_BOOT = new RegExp(`${START}(?:Linux version \\d|(?:e820: )?BIOS-provided physical RAM map:)`);
const VERSION = new RegExp(`${START}Linux version (\\d\\S*)`);
const COMMAND_LINE = new RegExp(`${START}Command line: (.*)$`);
const BIOS_ROW = /(?:^|[^\w-])(BIOS-e820|BIOS-e801|BIOS-88): *(.*)$/;
const OTHER_ROW = /(?:^|[^\w-])(Xen|LGUEST|extended|reserve setup_data): +((?:\[mem |[0-9a-f]{8,16} [-@] ).*)$/;
const HEX = '0x([0-9a-f]{1,16})';
const UPDATE = new RegExp(`e820: update \\[mem ${HEX}-${HEX}\\] usable ==> (usable|reserved)`);
const OLD_UPDATE = /e820 update range: ([0-9a-f]{16}) - ([0-9a-f]{16}) \(usable\) ==> \((usable|reserved)\)/;
const EFI_MMIO = new RegExp(`efi: (Remove|Not removing) mem(\\d+): MMIO range=\\[${HEX}-${HEX}\\]`);
const EFI_DESCRIPTOR = new RegExp(`efi: mem\\d+: \\[([^|\\]]+)\\|([^\\]]*)\\] range=\\[${HEX}-${HEX}([\\])])`);
const STOLEN = new RegExp(`Reserving Intel graphics (?:stolen )?memory at (?:\\[mem )?${HEX}-${HEX}`);
const CORRUPTS_LOW_RAM = /BIOS detected: BIOS may corrupt low RAM, working around it\./;
const LAST_PFN = new RegExp(`last_pfn = 0x[0-9a-f]+ max_arch_pfn = ${HEX}`);

/** Collects the facts of one boot, line by line. A class for its many small pieces of state; it lives for one call. */
class LogReader {
  readonly entries: E820Entry[] = [];
  readonly #extended: E820Entry[] = [];
  readonly #setupDataRows: E820Entry[] = [];
  readonly #setupData: AddressRange[] = [];
  readonly #efiMemmap: EfiMemoryDescriptor[] = [];
  readonly #efiMmio: EfiMmio[] = [];
  readonly #mtrrTrim: AddressRange[] = [];
  readonly #lateEdits: LateEdit[] = [];
  #who = '';
  #release: string | undefined;
  #cmdline: string | undefined;
  #maxArchPfn: number | undefined;
  #sawLastPfn = false;
  #corruptsLowRam = false;

  read(line: string, lineNumber: number): void {
    const row = BIOS_ROW.exec(line) ?? OTHER_ROW.exec(line);
    if (row) this.#readRow(row[1]!, row[2]!, lineNumber);
    else this.#readFact(line);
  }

  #readRow(who: string, text: string, lineNumber: number): void {
    const entry = parseRow(text.trimEnd());
    if (!entry) {
      const shown = `${who}: ${text}`.slice(0, 160);
      throw new KernelError('EINVAL', `line ${lineNumber}: '${shown}': expected '${who}: ${EXAMPLE_ROW}' or the like`);
    }
    if (who === 'extended') this.#extended.push(entry);
    else if (who === 'reserve setup_data') this.#setupDataRows.push(entry);
    else {
      this.#who = who;
      this.entries.push(entry);
    }
  }

  #readFact(line: string): void {
    this.#release ??= VERSION.exec(line)?.[1];
    this.#cmdline ??= COMMAND_LINE.exec(line)?.[1]?.trim();
    if (line.includes('user-defined physical RAM map')) this.#sawLastPfn = false; // what exactmap printed before it was the old map's
    const update = UPDATE.exec(line);
    if (update) this.#readUpdate(rangeOf(update[1]!, update[2]!), update[3]!);
    const oldUpdate = OLD_UPDATE.exec(line);
    if (oldUpdate) this.#readUpdate({ start: BigInt(`0x${oldUpdate[1]!}`), end: BigInt(`0x${oldUpdate[2]!}`) }, oldUpdate[3]!);
    if (CORRUPTS_LOW_RAM.test(line)) this.#corruptsLowRam = true;
    const lastPfn = LAST_PFN.exec(line);
    if (lastPfn) this.#readLastPfn(Number(`0x${lastPfn[1]!}`));
    const mmio = EFI_MMIO.exec(line);
    if (mmio) this.#efiMmio.push({ ...rangeOf(mmio[3]!, mmio[4]!), index: Number(mmio[2]), removed: mmio[1] === 'Remove' });
    const descriptor = EFI_DESCRIPTOR.exec(line);
    if (descriptor) this.#readEfiDescriptor(descriptor);
    const stolen = STOLEN.exec(line);
    if (stolen) this.#lateEdits.push({ kind: 'graphics-stolen', ...rangeOf(stolen[1]!, stolen[2]!) });
  }

  /** `usable ==> usable` retypes setup_data to RESERVED_KERN; before the first `last_pfn` the rest is the kernel's or the user's doing. */
  #readUpdate(range: AddressRange, newName: string): void {
    if (range.start === 0n && range.end === 0x10000n) this.#corruptsLowRam = true; // an excerpt may lack the line that says why
    if (newName === 'usable') this.#setupData.push(range);
    else if (this.#sawLastPfn) this.#lateEdits.push({ kind: 'efi-reserve', ...range });
  }

  /** What was reserved between two `last_pfn` lines, and so before memblock, was memory that no MTRR covers. */
  #readLastPfn(maxArchPfn: number): void {
    for (const { start, end } of this.#lateEdits.splice(0)) this.#mtrrTrim.push({ start, end });
    this.#maxArchPfn = maxArchPfn;
    this.#sawLastPfn = true;
  }

  #readEfiDescriptor([, name, flags, first, last, close]: RegExpExecArray): void {
    const type = EFI_TYPE_OF_NAME.get(name!.trim());
    if (type === undefined) return;
    const start = BigInt(`0x${first!}`);
    const end = BigInt(`0x${last!}`) + (close === ')' ? 0n : 1n); // half-open until 4.8
    const attribute = flags!.split('|').reduce((bits, flag) => bits | (EFI_ATTRIBUTE.get(flag.trim()) ?? 0n), 0n);
    this.#efiMemmap.push({ type, start, pages: (end - start) / 4096n, attribute });
  }

  firmware(): E820Firmware {
    return {
      ...plainFirmware(this.entries),
      who: this.#who,
      extended: this.#extended.filter((row) => !this.entries.some((entry) => sameEntry(entry, row))),
      setupData: this.#setupData.length > 0 ? this.#setupData : setupDataOfRows(this.#setupDataRows),
      efiMemmap: this.#efiMemmap,
      efiMmio: this.#efiMmio,
      mtrrTrim: this.#mtrrTrim,
      lateEdits: this.#lateEdits,
      ...(this.#corruptsLowRam && { corruptsLowRam: true }),
      ...(this.#release !== undefined && { release: this.#release }),
      ...(this.#cmdline !== undefined && { cmdline: this.#cmdline }),
      ...(this.#maxArchPfn !== undefined && { maxArchPfn: this.#maxArchPfn }),
    };
  }
}

/** The part of a row behind `who: `; undefined if it is none. */
function parseRow(text: string): E820Entry | undefined {
  const modern = /^\[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\] +(\S.*)$/i.exec(text);
  if (modern) return entryOf(BigInt(`0x${modern[1]!}`), BigInt(`0x${modern[2]!}`) + 1n, modern[3]!);
  const old = /^([0-9a-f]{1,16}) ([-@]) ([0-9a-f]{1,16}) \(([^)]+)\)$/i.exec(text);
  if (!old) return undefined;
  const [first, second] = [BigInt(`0x${old[1]!}`), BigInt(`0x${old[3]!}`)];
  return old[2] === '-' ? entryOf(first, second, old[4]!) : entryOf(second, second + first, old[4]!);
}

function entryOf(start: bigint, end: bigint, typeName: string): E820Entry | undefined {
  const type = e820TypeFromName(typeName);
  return type === undefined || end < start ? undefined : { addr: start, size: u64(end - start), type };
}

function rangeOf(first: string, last: string): AddressRange {
  return { start: BigInt(`0x${first}`), end: BigInt(`0x${last}`) + 1n };
}

function sameEntry(a: E820Entry, b: E820Entry): boolean {
  return a.addr === b.addr && a.size === b.size && a.type === b.type;
}

/**
 * Where setup_data lay, by the seams it left, for logs without debug lines: of touching usable rows every second one is setup_data.
 * (Two of the same type would have merged, and a node hardly ever begins where its RAM does.)
 */
function setupDataOfRows(rows: readonly E820Entry[]): AddressRange[] {
  const found: AddressRange[] = [];
  let usableBefore: AddressRange | undefined;
  for (const { addr, size, type } of rows) {
    if (type !== E820_TYPE_RAM) continue;
    const range = { start: addr, end: addr + size };
    const isSetupData = usableBefore?.end === addr;
    if (isSetupData) found.push(range);
    usableBefore = isSetupData ? undefined : range;
  }
  return found;
}

/** Long names are those of 3.16 to date, the short ones those from before. */
const EFI_TYPE_OF_NAME = new Map<string, number>([
  ['Reserved', EFI_MEMORY_TYPE.reserved],
  ['Loader Code', EFI_MEMORY_TYPE.loaderCode],
  ['Loader Data', EFI_MEMORY_TYPE.loaderData],
  ['Boot Code', EFI_MEMORY_TYPE.bootCode],
  ['Boot Data', EFI_MEMORY_TYPE.bootData],
  ['Runtime Code', EFI_MEMORY_TYPE.runtimeCode],
  ['Runtime Data', EFI_MEMORY_TYPE.runtimeData],
  ['Conventional', EFI_MEMORY_TYPE.conventional],
  ['Conventional Memory', EFI_MEMORY_TYPE.conventional],
  ['Unusable', EFI_MEMORY_TYPE.unusable],
  ['Unusable Memory', EFI_MEMORY_TYPE.unusable],
  ['ACPI Reclaim', EFI_MEMORY_TYPE.acpiReclaim],
  ['ACPI Reclaim Memory', EFI_MEMORY_TYPE.acpiReclaim],
  ['ACPI Mem NVS', EFI_MEMORY_TYPE.acpiNvs],
  ['ACPI Memory NVS', EFI_MEMORY_TYPE.acpiNvs],
  ['MMIO', EFI_MEMORY_TYPE.mmio],
  ['Memory Mapped I/O', EFI_MEMORY_TYPE.mmio],
  ['MMIO Port', EFI_MEMORY_TYPE.mmioPort],
  ['MMIO Port Space', EFI_MEMORY_TYPE.mmioPort],
  ['PAL Code', EFI_MEMORY_TYPE.palCode],
  ['Persistent', EFI_MEMORY_TYPE.persistent],
  ['Persistent Memory', EFI_MEMORY_TYPE.persistent],
]);

const EFI_ATTRIBUTE = new Map([
  ['UC', 0x1n], ['WC', 0x2n], ['WT', 0x4n], ['WB', 0x8n], ['UCE', 0x10n], ['WP', 0x1000n], ['RP', 0x2000n], ['XP', 0x4000n],
  ['NV', 0x8000n], ['MR', 0x10000n], ['RO', 0x20000n], ['SP', 0x40000n], ['CC', 0x80000n], ['RUN', 1n << 63n],
]);
