/**
 * `holdfast memmap`: try `memmap=` options on a machine before the machine is rebooted with them, or ask where so much would fit.
 * It boots the machine without and with the option, and tells what the second kernel has and what speaks against it.
 */
import { readFileSync, statSync } from 'node:fs';
import { parseSize } from '@holdfast/lib';
import { type BootCommandOptions, type Terminal, bootFromOptions } from './boot-command.js';
import { CliError } from './cli-error.js';
import { loadFirmware } from './firmware.js';
import { type BootLook, type Row, lookAt } from './memmap/boot-look.js';
import { type QuotedOption, quotedFor } from './memmap/boot-loader-quotes.js';
import { type LegalRange, candidates, legalRanges } from './memmap/legal-ranges.js';
import { exactSize, memmapOption, wholeMib } from './memmap/memmap-option.js';
import { type MemmapWarning, memmapWarnings, protectedRows, range } from './memmap/memmap-rules.js';
import { unreadText } from './memmap/unread-text.js';

export interface MemmapCommandOptions extends Pick<BootCommandOptions, 'firmware' | 'memory' | 'cmdline' | 'kernel'> {
  size?: string;
  json?: boolean;
}

/** What is known of one option on one machine. Bytes; ends are exclusive. */
export interface MemmapReport {
  readonly option: string;
  readonly panic?: string;
  /** The rows that became persistent memory. */
  readonly rows: readonly Row[];
  readonly regions: BootLook['regions'];
  readonly ram: { readonly before: number; readonly after: number };
  readonly warnings: readonly MemmapWarning[];
  /** Ranges of this machine that nothing speaks against. */
  readonly legal: readonly LegalRange[];
  readonly quoted: readonly QuotedOption[];
}

/** How many places are tried by booting with them. */
const MOST_TRIES = 8;

/** @returns the exit status: 1 if something speaks against the option @throws CliError, KernelError for a wrong call */
export async function memmapCommand(words: readonly string[], options: MemmapCommandOptions, terminal: Pick<Terminal, 'out'>): Promise<number> {
  const { size, json = false, ...machine } = options;
  if ((size === undefined) === (words.length === 0)) throw new CliError('memmap: give an option, such as 4G!12G, or --size');
  const report = size === undefined ? await tryOption(machine, optionOf(words)) : await findPlace(machine, parseSize(size, '--size'));
  terminal.out(json ? `${JSON.stringify(report, undefined, 1)}\n` : formatReport(report));
  return report.warnings.some(({ level }) => level !== 'note') ? 1 : 0;
}

type MachineOptions = Omit<MemmapCommandOptions, 'size' | 'json'>;

function optionOf(words: readonly string[]): string {
  const bad = words.find((word) => word === '' || /[\s"]/.test(word));
  if (bad !== undefined) throw new CliError(`memmap '${bad}': expected one option, without spaces or quotes, such as 4G!12G`);
  return words.map((word) => (/^(?:memmap|mem)=/.test(word) ? word : `memmap=${word}`)).join(' ');
}

/** Look at the machine as it is, and with one option more. */
export async function tryOption(machine: MachineOptions, option: string): Promise<MemmapReport> {
  const base = baseCmdline(machine);
  const before = await look({ ...machine, cmdline: base });
  return report(before, await look({ ...machine, cmdline: withOption(base, option) }), option, machine);
}

/** The kernel reads none of its options behind `--`: those are for init. */
function withOption(cmdline: string, option: string): string {
  const [, own, forInit] = /^(.*?)((?:^|\s)--(?:\s.*)?)?$/s.exec(cmdline)!;
  return `${own} ${option}${forInit ?? ''}`.trim();
}

/** Try places by booting with them; the one with the least against it. */
async function findPlace(machine: MachineOptions, sizeBytes: number): Promise<MemmapReport> {
  if (sizeBytes <= 0) throw new CliError("memmap --size: expected more than 0");
  const base = baseCmdline(machine);
  const before = await look({ ...machine, cmdline: base });
  let best: MemmapReport | undefined;
  for (const start of candidates(before, sizeBytes, MOST_TRIES)) {
    const option = memmapOption({ start, sizeBytes });
    const tried = report(before, await look({ ...machine, cmdline: withOption(base, option) }), option, machine);
    if (!best || badness(tried) < badness(best)) best = tried;
    if (badness(best) === 0) break;
  }
  if (best) return best;
  const text = `no row of usable RAM above 4 GiB holds ${exactSize(sizeBytes)} on a multiple of 128M`;
  return { ...report(before, before, '', machine), warnings: [{ rule: 'no-place', level: 'error', text }], quoted: [] };
}

function badness({ warnings }: MemmapReport): number {
  const weight = { error: 10_000, warning: 100, note: 1 };
  return warnings.reduce((sum, { level }) => sum + weight[level], 0);
}

function report(before: BootLook, after: BootLook, option: string, machine: MachineOptions): MemmapReport {
  return {
    option,
    ...(after.panic === undefined ? {} : { panic: after.panic }),
    rows: protectedRows(before, after),
    regions: after.regions,
    ram: { before: before.ramBytes, after: after.ramBytes },
    warnings: [...unreadText(option), ...memmapWarnings({ before, after, initrd: initrdOf(machine) })],
    legal: legalRanges(before),
    quoted: quotedFor(option),
  };
}

async function look(options: BootCommandOptions): Promise<BootLook> {
  const system = await bootFromOptions(options);
  try {
    return lookAt(system);
  } finally {
    system.close();
  }
}

/** What the machine is booted with anyway: its own `memmap=` would hide what the new one does. */
function baseCmdline({ firmware, cmdline }: MachineOptions): string {
  if (cmdline !== undefined) return cmdline;
  const told = firmware === undefined ? undefined : loadFirmware(firmware).cmdline;
  return (told ?? '').split(/\s+/).filter((word) => !word.startsWith('memmap=')).join(' ');
}

/** `RAMDISK: [mem 0x…-0x…]` of a log. */
function initrdOf({ firmware }: MachineOptions): Row | undefined {
  if (firmware === undefined || statSync(firmware).isDirectory()) return undefined;
  const match = /RAMDISK: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]/.exec(readFileSync(firmware, 'latin1'));
  return match ? { start: parseInt(match[1]!, 16), end: parseInt(match[2]!, 16) + 1, type: 'initrd' } : undefined;
}

function formatReport({ option, rows, regions, ram, warnings, legal, quoted }: MemmapReport): string {
  const hasError = warnings.some(({ level }) => level === 'error');
  return [
    ...(option === '' ? [] : [option]),
    ...rows.map((row) => `  ${range(row)} : ${row.type}`),
    ...regions.map(({ name, start, end, node, targetNode, disk }) =>
      `  ${name}: ${range({ start, end })}, ${exactSize(end - start)}, ${disk === undefined ? 'no disk' : `/dev/${disk}`}, `
        + `${node === undefined ? 'no node' : `near node ${node}`}, as RAM ${targetNode === undefined ? 'none' : `node ${targetNode}`}`),
    `  RAM: ${wholeMib(ram.after)} of ${wholeMib(ram.before)} are left`,
    ...warnings.flatMap(({ rule, level, text, nearest }) => [`${level}: ${text} [${rule}]`, ...(nearest === undefined ? [] : [`  try: ${nearest}`])]),
    ...(legal.length === 0 ? ['no RAM above 4 GiB to choose from'] : ['ranges to choose from:', ...legal.map(legalLine)]),
    ...(hasError ? [] : ['as typed in:', ...quoted.map(({ place, text }) => `  ${place}: ${text}`)]),
    '',
  ].join('\n');
}

function legalLine({ start, end, grain }: LegalRange): string {
  return `  ${range({ start, end })}, on ${exactSize(grain)}: up to ${memmapOption({ start, sizeBytes: end - start })}`;
}

