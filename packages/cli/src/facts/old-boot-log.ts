/**
 * The words in which Linux until 3.5 logged memory, as those of later releases: ends were exclusive, zones and nodes were told in frames.
 * Reads what arch/x86/kernel/e820.c, arch/x86/mm/srat.c, arch/x86/mm/numa.c, mm/page_alloc.c and kernel/power/snapshot.c of 2.6.1x to 3.11
 * print.
 */
import { PAGE_SIZE } from '@holdfast/lib';

type Rewrite = readonly [pattern: RegExp, words: (match: RegExpExecArray) => string];

const REWRITES: readonly Rewrite[] = [
  [/^Zone PFN ranges:$/, () => 'Zone ranges:'],
  [/^early_node_map\[\d+\] active PFN ranges$/, () => 'Early memory node ranges'],
  [/^ ?(BIOS-e820|user|modified): ([0-9a-f]{16}) - ([0-9a-f]{16}) \(([^)]+)\)$/, ([, who, start, end, type]) => `${who}: ${memRange(start!, end!)} ${type}`],
  [
    /^e820 (update|remove) range: ([0-9a-f]{16}) - ([0-9a-f]{16}) \(([^)]+)\)(?: ==> \(([^)]+)\))?$/,
    ([, op, start, end, type, newType]) => `e820: ${op} ${memRange(start!, end!)} ${type}${newType === undefined ? '' : ` ==> ${newType}`}`,
  ],
  [/^reserve RAM buffer: ([0-9a-f]{16}) - ([0-9a-f]{16})$/, ([, start, last]) => `e820: reserve RAM buffer [mem 0x${start!.slice(8)}-0x${last!.slice(8)}]`],
  [
    /^ {2}(\w+) +0x([0-9a-f]+) -> 0x([0-9a-f]+)$/,
    ([, zone, start, end]) => `  ${zone!.padEnd(8)} ${start === end ? 'empty' : memRange(start!, end!, PAGE_SIZE)}`,
  ],
  [/^ {4}(\d+): 0x([0-9a-f]+) -> 0x([0-9a-f]+)$/, ([, nid, start, end]) => `  node ${nid!.padStart(3)}: ${memRange(start!, end!, PAGE_SIZE)}`],
  [/^Initmem setup node (\d+) ([0-9a-f]{16})-([0-9a-f]{16})$/, ([, nid, start, end]) => `Initmem setup node ${nid} ${memRange(start!, end!)}`],
  [/^SRAT: Node (\d+) PXM (\d+) ([0-9a-f]+)-([0-9a-f]+)$/, ([, nid, pxm, start, end]) => `SRAT: Node ${nid} PXM ${pxm} ${memRange(start!, end!, 1, 8)}`],
  [
    /^NUMA: Node (\d+) \[([0-9a-f]+),([0-9a-f]+)\) \+ \[([0-9a-f]+),([0-9a-f]+)\) -> \[([0-9a-f]+),([0-9a-f]+)\)$/,
    ([, nid, a, b, c, d, e, f]) => `NUMA: Node ${nid} ${memRange(a!, b!, 1, 8)} + ${memRange(c!, d!, 1, 8)} -> ${memRange(e!, f!, 1, 8)}`,
  ],
  [/^Faking a node at ([0-9a-f]{16})-([0-9a-f]{16})$/, ([, start, end]) => `Faking a node at ${memRange(start!, end!)}`],
  [/^(PM: Registered nosave memory): ([0-9a-f]{16}) - ([0-9a-f]{16})$/, ([, what, start, end]) => `${what}: ${memRange(start!, end!, 1, 8)}`],
  [
    /^Allocating PCI resources starting at [0-9a-f]+ \(gap: ([0-9a-f]+):([0-9a-f]+)\)$/,
    ([, start, size]) => `${gapRange(start!, size!)} available for PCI devices`,
  ],
];

/** Lines without what loggers put before them; lines in other words stay as they are. */
export function modernizeBootLog(lines: readonly string[]): string[] {
  const rewrites = lines.includes('Movable zone start PFN for each node') ? [...REWRITES, MOVABLE_IN_FRAMES] : REWRITES;
  return lines.map((line) => modernLine(line, rewrites));
}

const MOVABLE_IN_FRAMES: Rewrite = [
  /^ {2}Node (\d+): (\d+|0x[0-9a-f]+)$/,
  ([, nid, frame]) => `  Node ${nid}: 0x${(Number(frame) * PAGE_SIZE).toString(16)}`,
];

function modernLine(line: string, rewrites: readonly Rewrite[]): string {
  for (const [pattern, words] of rewrites) {
    const match = pattern.exec(line);
    if (match) return words(match);
  }
  return line;
}

/** `unit`: bytes for which each number stands. */
function memRange(start: string, end: string, unit = 1, digits = 16): string {
  const hex = (text: string, less: bigint): string => `0x${(BigInt(`0x${text}`) * BigInt(unit) - less).toString(16).padStart(digits, '0')}`;
  return `[mem ${hex(start, 0n)}-${/^0*$/.test(end) ? hex(start, 0n) : hex(end, 1n)}]`;
}

function gapRange(start: string, size: string): string {
  return memRange(start, (BigInt(`0x${start}`) + BigInt(`0x${size}`)).toString(16), 1, 8);
}
