/**
 * The facts that a boot log tells: the firmware's and the user's memory maps, what e820 changed, zones, nodes and memory.
 * Reads what Linux prints (arch/x86/kernel/e820.c, mm/page_alloc.c, arch/x86/mm/numa.c): ours, or a real machine's `dmesg`.
 *
 * The shape is that of the golden captures' `expected.json`: addresses are hex strings, ends inclusive; frame numbers are numbers.
 * Differs from a log in one thing: fields whose lines are not there are empty lists, or left out where noted.
 */
import { modernizeBootLog } from './old-boot-log.js';

export interface E820Range {
  start: string;
  end: string;
  /** As printed: `usable`, `persistent (type 12)`. */
  type: string;
}

export interface E820Update {
  op: 'update' | 'remove' | 'reserve RAM buffer';
  start: string;
  end: string;
  what: string;
}

export interface E820Facts {
  bios: E820Range[];
  user: E820Range[];
  modified: E820Range[];
  /** Left out where the log has none, as are `messages`. */
  setup_data?: E820Range[];
  updates: E820Update[];
  last_pfn: number[];
  max_arch_pfn?: number;
  messages?: string[];
}

export type ZoneRange = { zone: string; start: string; end: string } | { zone: string; empty: true };
export type NodeRange = { node: number; start: string; end: string };

export interface MemblockFacts {
  zone_ranges: ZoneRange[];
  movable_start: { node: number; start: string }[];
  node_ranges: NodeRange[];
  initmem: (NodeRange | { node: number; memoryless: true })[];
  unavailable: { node: number; zone: string; pages: number }[];
  node_data: NodeRange[];
  /** Left out, like the rest below, where the log does not tell. */
  numa_lines?: string[];
  /** As of the boot: memory that is added later has zonelists built anew. */
  total_pages?: number;
  memory?: { available_kb: number; total_kb: number; detail: string };
}

export interface BootLogFacts {
  /** What follows `Linux version`, without the compilers. */
  kernel?: string;
  cmdline?: string;
  e820: E820Facts;
  memblock: MemblockFacts;
}

const NUMA_LINE = /^(?:ACPI: SRAT: Node |NUMA: Node |NUMA turned off|No NUMA configuration|Faking (?:a )?node |Reserving \d+MB of memory at )/;
const MESSAGE = /^(?:Malformed early option|Invalid user supplied memory map|e820: Malformed)/;

/** What loggers put before a message; each takes at most one space behind it, for what follows may be indented. */
const PREFIXES: readonly RegExp[] = [
  /^<\d+>/, // the level, as in /dev/kmsg
  /^[a-z]+\s*:[a-z]+\s*: (?=\S)/, // dmesg -x: facility and level
  /^\[\s*\+?\d+\.\d+(?: <\s*\+?\d+\.\d+>)?\] ?/, // seconds, maybe with a delta (dmesg, -d, -H)
  /^\[(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2}\s*\d{1,2} \d\d:\d\d(?::\d\d \d{4})?\] ?/, // dates (dmesg -T, -H)
  /^\[\s*[TC]\d+\] ?/, // who called printk (CONFIG_PRINTK_CALLER)
  /^\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d) (?=\S* ?kernel:|\S)/, // dmesg --time-format iso, journalctl -o short-iso
  /^[^[\]]{0,80}\bkernel: ?/, // syslog and journalctl: date and host
];
const ANSI_COLOUR = /\u001b\[[\d;]*m/g;

/** One line of a log without what loggers put before it: `<6>`, `[    0.000000]`, `[T0]`, a syslog date, host and `kernel:`, colours. */
export function stripLogPrefix(line: string): string {
  let text = line.replace(/\r$/, '').replace(ANSI_COLOUR, '');
  for (let prefix = PREFIXES.find((one) => one.test(text)); prefix; prefix = PREFIXES.find((one) => one.test(text))) text = text.replace(prefix, '');
  return text;
}

const SYSLOG_HEAD = String.raw`^(?:[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S{8,32}) [^\s:]{1,64} `;
const FROM_KERNEL = new RegExp(`${SYSLOG_HEAD}kernel: `, 'm');
const FROM_OTHERS = new RegExp(`${SYSLOG_HEAD}(?!kernel:)[^\\s:[\\]]{1,64}(?:\\[\\d+\\])?: `);

/** The kernel's lines of a log in the words of today's Linux, without what loggers put before them; syslog mixes those of daemons in. */
export function bootLogLines(text: string): string[] {
  const lines = text.split(/[\n\0]/);
  const ofKernel = FROM_KERNEL.test(text) ? lines.filter((line) => !FROM_OTHERS.test(line)) : lines;
  return modernizeBootLog(ofKernel.map(stripLogPrefix));
}

/** Where the zones are listed, or -1. (A message without a line end may stand before the heading.) */
export function zonesHeading(lines: readonly string[]): number {
  return lines.findIndex((line) => line.endsWith('Zone ranges:'));
}

/** Read the facts of a whole boot log; lines that tell nothing are passed over. */
export function parseBootLog(text: string): BootLogFacts {
  const lines = bootLogLines(text);
  const facts: BootLogFacts = { ...versionFacts(lines), e820: e820Facts(lines), memblock: memblockFacts(lines) };
  return facts;
}

function versionFacts(lines: readonly string[]): { kernel?: string; cmdline?: string } {
  const version = first(lines, /^Linux version (\S+)(.*)$/);
  const build = version && /(#\d.*)$/.exec(version[2]!);
  const cmdline = first(lines, /^Command line: (.*)$/) ?? first(lines, /^Kernel command line: (.*)$/);
  return {
    ...(version ? { kernel: build ? `${version[1]} ${build[1]!.trim()}` : version[1]! } : {}),
    ...(cmdline ? { cmdline: cmdline[1]!.trim() } : {}),
  };
}

function e820Facts(lines: readonly string[]): E820Facts {
  const setupData = e820Map(lines, 'reserve setup_data');
  const arch = first(lines, /^(?:e820: )?last_pfn = \S+ max_arch_pfn = (0x[0-9a-f]+)/);
  const messages = lines.filter((line) => MESSAGE.test(line));
  return {
    bios: e820Map(lines, 'BIOS-e820'),
    user: e820Map(lines, 'user'),
    modified: e820Map(lines, 'modified'),
    ...(setupData.length > 0 ? { setup_data: setupData } : {}),
    updates: lines.flatMap(e820Update),
    last_pfn: all(lines, /^(?:e820: )?last_pfn = (0x[0-9a-f]+) max_arch_pfn/).map((match) => Number(match[1])),
    ...(arch ? { max_arch_pfn: Number(arch[1]) } : {}),
    ...(messages.length > 0 ? { messages } : {}),
  };
}

function e820Map(lines: readonly string[], who: string): E820Range[] {
  return lines.flatMap((line) => {
    if (!line.startsWith(`${who}: [mem `)) return [];
    const match = /: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] (.+)$/.exec(line);
    return match ? [{ start: short(match[1]!), end: short(match[2]!), type: match[3]!.trimEnd() }] : [];
  });
}

function e820Update(line: string): E820Update[] {
  const match = /^e820: (update|remove|reserve RAM buffer) \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] ?(.*)$/.exec(line);
  if (!match) return [];
  return [{ op: match[1] as E820Update['op'], start: short(match[2]!), end: short(match[3]!), what: match[4]!.trimEnd() }];
}

function memblockFacts(lines: readonly string[]): MemblockFacts {
  const numaLines = lines.filter((line) => NUMA_LINE.test(line));
  // Later lines tell of memory that was added to the running kernel.
  const totalPages = all(lines, /^Built \d+ zonelists,.*Total pages: (\d+)/)[0];
  const memory = first(lines, /^Memory: (\d+)K\/(\d+)K available \((.*)\)/);
  return {
    zone_ranges: zoneRanges(lines),
    movable_start: all(lines, /^ {2}Node (\d+): (0x[0-9a-f]+)$/).map(({ 1: node, 2: start }) => ({ node: Number(node), start: short(start!) })),
    node_ranges: all(lines, /^ {2}node +(\d+): \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]/).map(nodeRange),
    initmem: all(lines, /^Initmem setup node (\d+) (?:\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]|as memoryless)/).map((match) =>
      match[2] ? nodeRange(match) : { node: Number(match[1]), memoryless: true },
    ),
    unavailable: all(lines, /^On node (\d+), zone (\w+): (\d+) pages in unavailable ranges/).map(({ 1: node, 2: zone, 3: pages }) => ({
      node: Number(node),
      zone: zone!,
      pages: Number(pages),
    })),
    node_data: all(lines, /^NODE_DATA\((\d+)\) allocated \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]/).map(nodeRange),
    ...(numaLines.length > 0 ? { numa_lines: numaLines } : {}),
    ...(totalPages ? { total_pages: Number(totalPages[1]) } : {}),
    ...(memory ? { memory: { available_kb: Number(memory[1]), total_kb: Number(memory[2]), detail: memory[3]! } } : {}),
  };
}

/** The indented lines below `Zone ranges:`. */
function zoneRanges(lines: readonly string[]): ZoneRange[] {
  const from = zonesHeading(lines);
  if (from < 0) return [];
  const zones: ZoneRange[] = [];
  for (const line of lines.slice(from + 1)) {
    const match = /^ {2}(\w+) +(?:\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\]|empty)/.exec(line);
    if (!match) break;
    zones.push(match[2] ? { zone: match[1]!, start: short(match[2]), end: short(match[3]!) } : { zone: match[1]!, empty: true });
  }
  return zones;
}

function nodeRange(match: RegExpExecArray): NodeRange {
  return { node: Number(match[1]), start: short(match[2]!), end: short(match[3]!) };
}

/** `0x000000000009fbff` as `0x9fbff`. */
function short(padded: string): string {
  return `0x${padded.slice(2).replace(/^0+(?=.)/, '')}`;
}

function first(lines: readonly string[], pattern: RegExp): RegExpExecArray | undefined {
  for (const line of lines) {
    const match = pattern.exec(line);
    if (match) return match;
  }
  return undefined;
}

function all(lines: readonly string[], pattern: RegExp): RegExpExecArray[] {
  return lines.map((line) => pattern.exec(line)).filter((match) => match !== null);
}
