/** `holdfast size`: the table of {@link sizeTable}, or of {@link smallestFor}, as text or as JSON. */
import { KIB, MIB, GIB, TIB, isPowerOf2, parseSize } from '@holdfast/lib';
import type { Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';
import { type SizeRow, sizeTable, smallestFor } from './size-table.js';

export interface SizeCommandOptions {
  size?: string;
  need?: string;
  start: string;
  block: string;
  ways: string;
  json?: boolean;
}

/** @returns the exit status @throws CliError, KernelError for sizes that are none */
export function sizeCommand({ size, need, start, block, ways, json = false }: SizeCommandOptions, terminal: Pick<Terminal, 'out'>): number {
  if ((size === undefined) === (need === undefined)) throw new CliError('size: give --size, or --need');
  const blockSize = parseSize(block, '--block');
  if (!isPowerOf2(blockSize) || blockSize < 128 * MIB) throw new CliError(`--block '${block}': expected a power of two from 128M on`);
  if (!/^\d+$/.test(ways) || Number(ways) < 1 || Number(ways) > 32) throw new CliError(`--ways '${ways}': expected a number of DIMMs from 1 to 32`);
  const where = { start: parseSize(start, '--start'), blockSize, ways: Number(ways) };
  if (where.start % 4096 !== 0) throw new CliError(`--start '${start}': expected a multiple of 4096`);
  const rows = need === undefined ? sizeTable({ size: positive(size!, '--size'), ...where }) : smallestFor(positive(need, '--need'), where);
  terminal.out(json ? `${JSON.stringify(rows, undefined, 1)}\n` : formatTable(rows, need !== undefined));
  return 0;
}

function positive(text: string, option: string): number {
  const bytes = parseSize(text, option);
  if (bytes <= 0 || bytes > 2 ** 52) throw new CliError(`${option} '${text}': expected more than 0 and at most 4P`);
  return bytes;
}

function formatTable(rows: readonly SizeRow[], inverse: boolean): string {
  const [first, ...others] = rows.map(({ why }) => (why ? whyNot(why) : ''));
  if (first && others.every((text) => text === first)) return `${first}\n`; // no kind of namespace has this size
  const head = ['MODE', 'MAP', 'ALIGN', 'SECTOR', ...(inverse ? ['SIZE'] : []), 'USABLE', 'LOST', 'RAM', 'RAM BLOCKS', ''];
  const lines = rows.map(({ mode, map = '', align, sectorSize, size, usable, ram, ramBlocks, why }) => [
    mode, map, align === undefined ? '' : unit(align), sectorSize === undefined ? '' : String(sectorSize),
    ...(inverse ? [unit(size)] : []),
    why ? '-' : unit(usable), why ? '-' : unit(size - usable), why ? '-' : unit(ram), why || ramBlocks === undefined ? '' : String(ramBlocks),
    why ? whyNot(why) : '',
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]!.length)));
  const isText = (column: number): boolean => column < 2 || column === head.length - 1;
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  return `${[head, ...lines].map(format).join('\n')}\n`;
}

function whyNot({ rule, nearest }: NonNullable<SizeRow['why']>): string {
  return `${rule}${nearest === undefined ? '' : `; try ${nearest.join(', or ')}`}`;
}

/** Exact where a unit fits, else to two digits. */
function unit(bytes: number): string {
  const [scale, letter] = bytes >= TIB ? [TIB, 'T'] : bytes >= GIB ? [GIB, 'G'] : bytes >= MIB ? [MIB, 'M'] : bytes >= KIB ? [KIB, 'K'] : [1, ''];
  return `${String(Math.round((bytes / scale) * 100) / 100)}${letter}`;
}
