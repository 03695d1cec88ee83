/** `holdfast compare`: every struct-page design on the same device, as tables or as JSON. */
import { type CompareRow, DESIGN_NAMES, type DesignResult, WORKLOADS, type WorkloadName, compareDesigns, defaultRam } from '@holdfast/compare';
import { GIB, KIB, MIB, TIB, parseSize } from '@holdfast/lib';
import type { Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';

export interface CompareCommandOptions {
  size: string;
  memory?: string;
  designs?: string;
  mapping: string;
  bus?: string;
  workload: string;
  json?: boolean;
}

const MAPPINGS = ['uc', 'wc', 'wt', 'wb'] as const;
const BUSES = ['e820', 'nvdimm', 'pci'] as const;

/** @returns the exit status @throws CliError, KernelError for what is no size, design, mapping or workload */
export function compareCommand(
  { size, memory, designs, mapping, bus = 'e820', workload, json = false }: CompareCommandOptions,
  terminal: Pick<Terminal, 'out'>,
): number {
  const sizeBytes = parseSize(size, '--size');
  const ramBytes = memory === undefined ? defaultRam(sizeBytes) : parseSize(memory, '--memory');
  const rows = compareDesigns({
    sizeBytes,
    ramBytes,
    designs: designs === undefined ? DESIGN_NAMES : designs.split(',').map((word) => oneOf('--designs', word, DESIGN_NAMES)),
    mapping: oneOf('--mapping', mapping, MAPPINGS),
    bus: oneOf('--bus', bus, BUSES),
    workload: oneOf('--workload', workload, Object.keys(WORKLOADS) as WorkloadName[]),
  });
  terminal.out(
    json ? `${JSON.stringify(rows, undefined, 1)}\n` : describe(rows, { sizeBytes, ramBytes, mapping, workload: workload as WorkloadName }),
  );
  return 0;
}

function oneOf<Word extends string>(option: string, text: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === text);
  if (!word) throw new CliError(`${option} '${text}': expected one of ${words.join(', ')}`);
  return word;
}

interface Compared {
  readonly sizeBytes: number;
  readonly ramBytes: number;
  readonly mapping: string;
  readonly workload: WorkloadName;
}

function describe(rows: readonly CompareRow[], { sizeBytes, ramBytes, mapping, workload }: Compared): string {
  const had = rows.flatMap((row) => ('refused' in row ? [] : [row]));
  const refused = rows.flatMap((row) => ('refused' in row ? [`  ${row.design}: ${row.refused.errno}: ${row.refused.reason}`] : []));
  const probes = had[0] ? (Object.keys(had[0].works) as (keyof DesignResult['works'])[]) : [];
  const sections = [
    `${bytes(sizeBytes)} of persistent memory, ${bytes(ramBytes)} of RAM, mapped ${mapping}; times are virtual`,
    table(['', 'RAM FOR PAGES', 'ON THE DEVICE', 'USABLE', 'RAM GAINED', 'FIRST I/O', 'ALL PAGES READY'], had.map((row) => [
      row.design, row.ramPageBytesAtFirst === row.ramPageBytes ? bytes(row.ramPageBytes) : `${bytes(row.ramPageBytesAtFirst)} to ${bytes(row.ramPageBytes)}`,
      bytes(row.devicePageBytes), bytes(row.usableBytes), bytes(row.ramGainedBytes), time(row.firstIoNs),
      row.allPagesReadyNs === null ? 'never: no room' : time(row.allPagesReadyNs),
    ])),
    table(['WHAT WORKS', ...had.map(({ design }) => design)], probes.map((probe) => [probe, ...had.map(({ works }) => works[probe])])),
    `${workload}: ${WORKLOADS[workload].summary}`,
    table(['', 'TIME/OPERATION', 'GB/s', 'MEDIA BYTES/USER BYTE', 'LINES IN HOTTEST PAGE'], had.map(({ design, workload: done }) => [
      design, time(done.nsPerOperation), done.throughput.toFixed(2), done.mediaBytesPerUserByte.toFixed(3), String(done.hottestPageLines),
    ])),
    'A power cut, and the boot after it: pages lost',
    table(['', 'FSYNCED', 'STORED, NOT FLUSHED', 'IN THE PAGE CACHE', 'BIND AGAIN'], had.map(({ design, powerCut: cut }) => [
      design, `${cut.fsyncedLost} of ${cut.pages}`, `${cut.storedLost} of ${cut.pages}`, `${cut.cachedLost} of ${cut.pages}`, time(cut.rebindNs),
    ])),
    ...(refused.length > 0 ? [['Refused:', ...refused].join('\n')] : []),
  ];
  return `${sections.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** To two digits, in the largest unit that fits. */
function bytes(count: number): string {
  const [scale, unit] = count >= TIB ? [TIB, 'T'] : count >= GIB ? [GIB, 'G'] : count >= MIB ? [MIB, 'M'] : count >= KIB ? [KIB, 'K'] : [1, ''];
  return `${String(Math.round((count / scale) * 100) / 100)}${unit}`;
}

function time(ns: number): string {
  const [scale, unit] = ns >= 1e9 ? [1e9, 's'] : ns >= 1e6 ? [1e6, 'ms'] : ns >= 1e3 ? [1e3, 'us'] : [1, 'ns'];
  return `${(ns / scale).toPrecision(3)} ${unit}`;
}
