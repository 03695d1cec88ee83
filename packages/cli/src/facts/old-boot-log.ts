/**
 * The words in which Linux until 3.5 logged memory, as those of later releases: ends were exclusive, zones and nodes were told in frames.
 * Reads what arch/x86/kernel/e820.c and mm/page_alloc.c of 2.6.3x to 3.5 print.
 */
import { PAGE_SIZE } from '@holdfast/lib';

const ROW = /^ ?(BIOS-e820|user|modified): ([0-9a-f]{16}) - ([0-9a-f]{16}) \(([^)]+)\)$/;
const EDIT = /^e820 (update|remove) range: ([0-9a-f]{16}) - ([0-9a-f]{16}) \(([^)]+)\)(?: ==> \(([^)]+)\))?$/;
const ZONE = /^ {2}(\w+) +0x([0-9a-f]+) -> 0x([0-9a-f]+)$/;
const NODE = /^ {4}(\d+): 0x([0-9a-f]+) -> 0x([0-9a-f]+)$/;
const MOVABLE = /^ {2}Node (\d+): 0x([0-9a-f]+)$/;
const INITMEM = /^Initmem setup node (\d+) ([0-9a-f]{16})-([0-9a-f]{16})$/;

/** Lines without what loggers put before them; lines in other words stay as they are. */
export function modernizeBootLog(lines: readonly string[]): string[] {
  const movableInFrames = lines.includes('Movable zone start PFN for each node');
  return lines.map((line) => modernLine(line, movableInFrames));
}

function modernLine(line: string, movableInFrames: boolean): string {
  if (line === 'Zone PFN ranges:') return 'Zone ranges:';
  const row = ROW.exec(line);
  if (row) return `${row[1]}: ${memRange(row[2]!, row[3]!)} ${row[4]}`;
  const edit = EDIT.exec(line);
  if (edit) return `e820: ${edit[1]} ${memRange(edit[2]!, edit[3]!)} ${edit[4]}${edit[5] === undefined ? '' : ` ==> ${edit[5]}`}`;
  const zone = ZONE.exec(line);
  if (zone) return `  ${zone[1]!.padEnd(8)} ${memRange(zone[2]!, zone[3]!, PAGE_SIZE)}`;
  const node = NODE.exec(line);
  if (node) return `  node ${node[1]!.padStart(3)}: ${memRange(node[2]!, node[3]!, PAGE_SIZE)}`;
  const movable = movableInFrames ? MOVABLE.exec(line) : null;
  if (movable) return `  Node ${movable[1]}: 0x${(Number.parseInt(movable[2]!, 16) * PAGE_SIZE).toString(16)}`;
  const initmem = INITMEM.exec(line);
  return initmem ? `Initmem setup node ${initmem[1]} ${memRange(initmem[2]!, initmem[3]!)}` : line;
}

/** `unit`: bytes for which each number stands. */
function memRange(start: string, end: string, unit = 1): string {
  const hex = (text: string, less: bigint): string => `0x${(BigInt(`0x${text}`) * BigInt(unit) - less).toString(16).padStart(16, '0')}`;
  return /^0*$/.test(end) ? `[mem ${hex(start, 0n)}-${hex(start, 0n)}]` : `[mem ${hex(start, 0n)}-${hex(end, 1n)}]`;
}
