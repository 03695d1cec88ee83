/**
 * lsblk(1): block devices as a tree, disks over their partitions. Mirrors util-linux's lsblk, which reads /sys/block, as this does.
 */
import type { VfsDir } from '@holdfast/kernel';
import type { Command } from '../console/command.js';
import { UsageError, getopt } from '../console/getopt.js';
import { type ColumnSpec, type JsonRow, chooseColumns, formatJson, formatTable, humanSize } from '../console/smartcols.js';
import { dirAt, naturalOrder, textAt } from '../facts/sysfs.js';
import { mountLines } from './mount.js';

interface BlockRow {
  readonly name: string;
  /** What the tree puts before the name. */
  readonly branch: string;
  readonly path: string;
  readonly type: 'disk' | 'part';
  readonly disk: string;
}

const DEFAULT_COLUMNS = ['NAME', 'MAJ:MIN', 'RM', 'SIZE', 'RO', 'TYPE', 'MOUNTPOINTS'];
const TOPOLOGY_COLUMNS = ['NAME', 'ALIGNMENT', 'MIN-IO', 'OPT-IO', 'PHY-SEC', 'LOG-SEC', 'ROTA', 'SCHED', 'RQ-SIZE', 'RA', 'WSAME'];

export const lsblk: Command = {
  usage: 'lsblk [options] [device]…',
  help: [
    ' -b, --bytes          print SIZE in bytes rather than in human readable format',
    ' -d, --nodeps         don\'t print partitions',
    ' -J, --json           use JSON output format',
    ' -l, --list           use list format output',
    ' -n, --noheadings     don\'t print headings',
    ' -o, --output <list>  output columns: NAME, KNAME, PATH, MAJ:MIN, RM, SIZE, RO, TYPE, MOUNTPOINT, MOUNTPOINTS, ALIGNMENT,',
    '                      MIN-IO, OPT-IO, PHY-SEC, LOG-SEC, ROTA, SCHED, RQ-SIZE, RA, WSAME, DAX, PKNAME, START',
    ' -p, --paths          print complete device path',
    ' -P, --pairs          use key="value" output format',
    ' -r, --raw            use raw output format',
    ' -t, --topology       output info about topology',
  ].join('\n'),
  run({ args, root, out, err }) {
    const { has, value, operands } = getopt(args, {
      short: { a: 'all', b: 'bytes', d: 'nodeps', J: 'json', l: 'list', n: 'noheadings', o: 'output', p: 'paths', P: 'pairs', r: 'raw', t: 'topology' },
      long: {
        all: false, bytes: false, nodeps: false, json: false, list: false, noheadings: false, output: true,
        paths: false, pairs: false, raw: false, topology: false,
      },
    });
    const columns = chooseColumns(lsblkColumns(root, has('bytes'), has('paths')), has('topology') ? TOPOLOGY_COLUMNS : DEFAULT_COLUMNS, value('output'));
    if (typeof columns === 'string') throw new UsageError(`unknown column: ${columns}`);
    const flat = has('list') || has('raw') || has('pairs');
    let status = 0;
    const trees = readDisks(root, has('nodeps'));
    const chosen = operands.length === 0 ? trees : operands.flatMap((operand) => {
      const found = findRow(trees, operand.replace(/^\/dev\//, ''));
      if (found) return [found];
      err(`lsblk: ${operand}: not a block device`);
      status = 32;
      return [];
    });
    if (has('json')) out(formatJson('blockdevices', columns, chosen));
    else if (chosen.length > 0) {
      const rows = chosen.flatMap(({ row, children = [] }) => [row, ...children.map((child) => child.row)]);
      out(formatTable(columns, flat ? rows.map((row) => ({ ...row, branch: '' })) : rows, {
        headings: !has('noheadings'),
        format: has('raw') ? 'raw' : has('pairs') ? 'pairs' : 'table',
      }));
    }
    return status;
  },
};

function readDisks(root: VfsDir, disksOnly: boolean): JsonRow<BlockRow>[] {
  const disks = [...(dirAt(root, '/sys/block')?.list() ?? [])].sort(naturalOrder);
  return disks.map((disk) => {
    const path = `/sys/block/${disk}`;
    const parts = disksOnly
      ? []
      : [...(dirAt(root, path)?.list() ?? [])].filter((name) => name.startsWith(disk) && textAt(root, `${path}/${name}/partition`) !== undefined);
    const children = parts.sort(naturalOrder).map((name, index): JsonRow<BlockRow> => ({
      row: { name, branch: index === parts.length - 1 ? '└─' : '├─', path: `${path}/${name}`, type: 'part', disk },
    }));
    return { row: { name: disk, branch: '', path, type: 'disk', disk }, ...(children.length > 0 ? { children } : {}) };
  });
}

function findRow(trees: readonly JsonRow<BlockRow>[], name: string): JsonRow<BlockRow> | undefined {
  for (const tree of trees) {
    if (tree.row.name === name) return tree;
    const child = tree.children?.find(({ row }) => row.name === name);
    if (child) return { row: { ...child.row, branch: '' } };
  }
  return undefined;
}

function lsblkColumns(root: VfsDir, inBytes: boolean, paths: boolean): ColumnSpec<BlockRow>[] {
  const own = (attribute: string) => ({ path }: BlockRow): string => textAt(root, `${path}/${attribute}`) ?? '';
  const queue = (attribute: string) => ({ disk }: BlockRow): string => textAt(root, `/sys/block/${disk}/queue/${attribute}`) ?? '';
  const number = (name: string, get: (row: BlockRow) => string): ColumnSpec<BlockRow> => ({ name, right: true, json: 'number', get });
  const full = (name: string): string => (paths ? `/dev/${name}` : name);
  /** Of several mounts, the last. */
  const mountpoint = ({ name }: BlockRow): string => mountLines({ root }).find(({ source }) => source === `/dev/${name}`)?.target ?? '';
  return [
    { name: 'NAME', get: ({ name, branch }) => branch + full(name) },
    { name: 'KNAME', get: ({ name }) => full(name) },
    { name: 'PKNAME', get: ({ type, disk }) => (type === 'part' ? full(disk) : '') },
    { name: 'PATH', get: ({ name }) => `/dev/${name}` },
    { name: 'MAJ:MIN', get: majorMinor(own('dev')) },
    { name: 'RM', right: true, json: 'boolean', get: ({ disk }) => textAt(root, `/sys/block/${disk}/removable`) ?? '' },
    {
      name: 'SIZE',
      right: true,
      hint: 5,
      ...(inBytes ? { json: 'number' as const } : {}),
      get: (row) => (inBytes ? String(Number(own('size')(row)) * 512) : humanSize(Number(own('size')(row)) * 512)),
    },
    { name: 'RO', right: true, json: 'boolean', get: own('ro') },
    { name: 'TYPE', get: ({ type }) => type },
    { name: 'MOUNTPOINT', get: mountpoint },
    { name: 'MOUNTPOINTS', json: 'strings', get: mountpoint },
    number('START', own('start')),
    number('ALIGNMENT', own('alignment_offset')),
    number('MIN-IO', queue('minimum_io_size')),
    number('OPT-IO', queue('optimal_io_size')),
    number('PHY-SEC', queue('physical_block_size')),
    number('LOG-SEC', queue('logical_block_size')),
    { name: 'ROTA', right: true, json: 'boolean', get: queue('rotational') },
    { name: 'SCHED', get: (row) => /\[(\S+)\]/.exec(queue('scheduler')(row))?.[1] ?? queue('scheduler')(row) },
    number('RQ-SIZE', queue('nr_requests')),
    number('RA', queue('read_ahead_kb')),
    { name: 'WSAME', right: true, get: (row) => humanSize(Number(queue('write_same_max_bytes')(row))) },
    { name: 'DAX', right: true, json: 'boolean', get: queue('dax') },
  ];
}

/** `259:0  `: the colon stands in the same place in each row. */
function majorMinor(dev: (row: BlockRow) => string): (row: BlockRow) => string {
  return (row) => {
    const [major = '', minor = ''] = dev(row).split(':');
    return `${major.padStart(3)}:${minor.padEnd(3)}`;
  };
}
