/**
 * lsmem(1): ranges of memory with their state. Mirrors util-linux's lsmem, which reads /sys/devices/system/memory, as this does.
 * Neighbours with equal state, removability, node and zones are shown as one range, as far as these columns are shown or asked for.
 */
import type { VfsDir } from '@holdfast/kernel';
import { strerror } from '@holdfast/lib';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { type ColumnSpec, chooseColumns, formatJson, formatTable, humanSize } from '../console/smartcols.js';
import { dirAt, naturalOrder, textAt } from '../facts/sysfs.js';

const MEMORY = '/sys/devices/system/memory';

interface Blocks {
  readonly first: number;
  readonly count: number;
  readonly blockSize: number;
  readonly state: string;
  readonly removable: boolean;
  readonly node: number | undefined;
  /** As shown: `Normal/Movable`, `None`. */
  readonly zones: string;
}

type SplitBy = 'state' | 'removable' | 'node' | 'zones';
const SPLIT_NAMES: Record<string, SplitBy> = { STATE: 'state', REMOVABLE: 'removable', NODE: 'node', ZONES: 'zones' };
const DEFAULT_COLUMNS = ['RANGE', 'SIZE', 'STATE', 'REMOVABLE', 'BLOCK'];

export const lsmem: Command = {
  usage: 'lsmem [options]',
  help: [
    ' -J, --json           use JSON output format',
    ' -P, --pairs          use key="value" output format',
    ' -a, --all            list each individual memory block',
    ' -b, --bytes          print SIZE in bytes rather than in human readable format',
    ' -n, --noheadings     don\'t print headings',
    ' -o, --output <list>  output columns: RANGE, SIZE, STATE, REMOVABLE, BLOCK, NODE, ZONES',
    '     --output-all     output all columns',
    ' -r, --raw            use raw output format',
    ' -S, --split <list>   split ranges by specified columns',
    '     --summary[=when] print summary information (never, always or only)',
  ].join('\n'),
  run({ args, root, out, err }) {
    const { has, value, operands } = getopt(args, {
      short: { J: 'json', P: 'pairs', a: 'all', b: 'bytes', n: 'noheadings', o: 'output', r: 'raw', S: 'split' },
      long: {
        json: false, pairs: false, all: false, bytes: false, noheadings: false, output: true, 'output-all': false, raw: false, split: true,
        summary: 'optional',
      },
    });
    if (operands.length > 0) throw new UsageError('bad usage');
    const summary = has('summary') ? value('summary') || 'only' : has('json') || has('raw') || has('pairs') ? 'never' : 'always';
    if (!['never', 'always', 'only'].includes(summary)) throw new UsageError(`unsupported --summary argument`);
    const blockSize = parseInt(textAt(root, `${MEMORY}/block_size_bytes`) ?? '', 16);
    if (!(blockSize > 0)) {
      err(`lsmem: cannot open ${MEMORY}: ${strerror('ENOENT')}`);
      return 1;
    }
    const all = lsmemColumns(has('bytes'));
    const columns = chooseColumns(all, has('output-all') ? all.map(({ name }) => name) : DEFAULT_COLUMNS, value('output'));
    if (typeof columns === 'string') throw new UsageError(`unknown column: ${columns}`);
    const split = splitColumns(value('split'), columns);
    const blocks = readBlocks(root, blockSize);
    if (summary !== 'only') {
      const rows = mergeBlocks(blocks, has('all') ? undefined : split);
      if (has('json')) out(formatJson('memory', columns, rows.map((row) => ({ row }))));
      else out(formatTable(columns, rows, { headings: !has('noheadings'), format: has('raw') ? 'raw' : has('pairs') ? 'pairs' : 'table' }));
    }
    if (summary !== 'never') out(`${summary === 'only' ? '' : '\n'}${summaryText(blocks, blockSize, has('bytes'))}`);
    return 0;
  },
};

/** What makes neighbours differ: asked for by -S, or else the columns that are shown. */
function splitColumns(list: string | undefined, shown: readonly ColumnSpec<Blocks>[]): Set<SplitBy> {
  if (list?.toLowerCase() === 'none') return new Set();
  const names = list === undefined ? shown.map(({ name }) => name) : list.toUpperCase().split(',');
  const unknown = list === undefined ? undefined : names.find((name) => !Object.hasOwn(SPLIT_NAMES, name));
  if (unknown !== undefined) throw new UsageError(`unknown column: ${unknown}`);
  return new Set(names.flatMap((name) => (Object.hasOwn(SPLIT_NAMES, name) ? [SPLIT_NAMES[name]!] : [])));
}

function readBlocks(root: VfsDir, blockSize: number): Blocks[] {
  const names = [...(dirAt(root, MEMORY)?.list() ?? [])].filter((name) => /^memory\d+$/.test(name)).sort(naturalOrder);
  return names.map((name) => {
    const path = `${MEMORY}/${name}`;
    const node = [...(dirAt(root, path)?.list() ?? [])].find((entry) => /^node\d+$/.test(entry));
    return {
      first: Number(name.slice(6)),
      count: 1,
      blockSize,
      state: { 'going-offline': 'on->off' }[textAt(root, `${path}/state`) ?? ''] ?? textAt(root, `${path}/state`) ?? '?',
      removable: textAt(root, `${path}/removable`) === '1',
      node: node === undefined ? undefined : Number(node.slice(4)),
      zones: (textAt(root, `${path}/valid_zones`) ?? '').trim().split(/\s+/).map((zone) => (zone === 'none' ? 'None' : zone)).join('/'),
    };
  });
}

function mergeBlocks(blocks: readonly Blocks[], split: ReadonlySet<SplitBy> | undefined): Blocks[] {
  const merged: Blocks[] = [];
  for (const block of blocks) {
    const last = merged.at(-1);
    const joins = split && last && last.first + last.count === block.first && [...split].every((field) => last[field] === block[field]);
    if (joins) merged[merged.length - 1] = { ...last, count: last.count + 1 };
    else merged.push(block);
  }
  return merged;
}

function lsmemColumns(inBytes: boolean): ColumnSpec<Blocks>[] {
  const address = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;
  return [
    {
      name: 'RANGE',
      get: ({ first, count, blockSize }) => `${address(first * blockSize)}-${address((first + count) * blockSize - 1)}`,
    },
    {
      name: 'SIZE',
      right: true,
      hint: 5,
      ...(inBytes ? { json: 'number' as const } : {}),
      get: ({ count, blockSize }) => (inBytes ? String(count * blockSize) : humanSize(count * blockSize)),
    },
    { name: 'STATE', right: true, get: ({ state }) => state },
    { name: 'REMOVABLE', right: true, json: 'boolean', get: ({ state, removable }) => (state === 'online' ? (removable ? 'yes' : 'no') : '') },
    { name: 'BLOCK', right: true, get: ({ first, count }) => (count === 1 ? String(first) : `${first}-${first + count - 1}`) },
    { name: 'NODE', right: true, json: 'number', get: ({ node }) => (node === undefined ? '' : String(node)) },
    { name: 'ZONES', right: true, get: ({ zones }) => zones },
  ];
}

function summaryText(blocks: readonly Blocks[], blockSize: number, inBytes: boolean): string {
  const total = (online: boolean): number => blocks.filter(({ state }) => (state === 'online') === online).length * blockSize;
  const line = (name: string, bytes: number): string => `${name.padEnd(23)} ${(inBytes ? String(bytes) : humanSize(bytes)).padStart(inBytes ? 15 : 5)}\n`;
  return line('Memory block size:', blockSize) + line('Total online memory:', total(true)) + line('Total offline memory:', total(false));
}
