/**
 * Boots machines of which only a few ranges are known (`fragments.json`): the rest of the map is that of a plain PC, with RAM from 4 GiB
 * up to the first known range. Compares the ranges, the disks and the resources that the fragment tells.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type E820Range, buildMachine, captureFacts, createSystem, parseBootLog, planMachine } from '@holdfast/cli';
import { DEFAULT_RELEASE, GIB } from '@holdfast/lib';
import { type Difference, compareFacts } from './compare.js';
import type { CaseResult } from './run-case.js';

type Row = readonly [start: string, end: string, type: string];
type Resource = readonly [start: string, end: string, name: string, children?: readonly Resource[]];

export interface Fragment {
  readonly name: string;
  readonly cmdline?: string;
  readonly bios?: readonly Row[];
  readonly user?: readonly Row[];
  readonly setup_data?: readonly Row[];
  readonly iomem?: readonly Resource[];
  readonly messages?: readonly string[];
}

/** The fragments that lie in a directory, if any. */
export function loadFragments(directory: string): Fragment[] {
  const file = join(directory, 'fragments.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { machines: Fragment[] }).machines : [];
}

export async function runFragment(fragment: Fragment): Promise<CaseResult> {
  const head = { name: fragment.name, group: 'fragment' };
  try {
    const cmdline = supportedCmdline(fragment);
    const firmware = { e820: firmwareMap(fragment) };
    const { machine } = await buildMachine(planMachine({ firmware, cmdline, release: DEFAULT_RELEASE }));
    const system = createSystem({ machine, firmware, cmdline, release: DEFAULT_RELEASE });
    const { e820 } = parseBootLog(system.log.lines.map(({ text }) => text).join('\n'));
    const rows = e820.user.length > 0 ? e820.user : e820.bios;
    const stated = statedRows(fragment);
    const known = (row: E820Range): boolean => stated.some(([start]) => start === row.start);
    const { iomem, block } = captureFacts(system.root);
    const expected = {
      rows: stated.map(([start, end, type]) => ({ start, end, type })),
      iomem: (fragment.iomem ?? []).map(([start, end, name]) => ({ start, end, name })),
      diskBytes: diskBytesOf(fragment.messages ?? []),
    };
    const actual = {
      rows: rows.filter(known),
      iomem: iomem.filter(({ start }) => expected.iomem.some((row) => row.start === start)).map(({ start, end, name }) => ({ start, end, name })),
      diskBytes: Object.fromEntries(Object.keys(expected.diskBytes).map((disk) => [disk, Number(block?.[disk]?.['size']) * 512])),
    };
    return { ...head, ...compareFacts(expected, actual) };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const difference: Difference = { path: 'boot', expected: 'a kernel', actual: failure.split('\n')[0] };
    return { ...head, compared: 1, differences: [difference], leftOut: new Map(), failure };
  }
}

function statedRows({ bios, user, setup_data: setupData }: Fragment): readonly Row[] {
  return bios ?? user ?? setupData ?? [];
}

/** efi_fake_mem= rewrites the EFI memory map before the kernel sees it: its outcome is taken as the firmware's word. */
function supportedCmdline({ cmdline = '', setup_data: setupData }: Fragment): string {
  return setupData ? '' : cmdline;
}

/** What memmap= made persistent was RAM to the firmware; all else is as stated. */
function firmwareMap(fragment: Fragment): string {
  const stated = statedRows(fragment);
  const byUser = supportedCmdline(fragment).includes('memmap=');
  const rows: Row[] = stated.map(([start, end, type]) => [start, end, byUser && type.startsWith('persistent') ? 'usable' : type]);
  const first = Number(stated[0]?.[0] ?? 0);
  if (first > GIB) rows.unshift(['0x0', '0x9fbff', 'usable'], ['0x9fc00', '0x9ffff', 'reserved'], ['0x100000', '0xbfffffff', 'usable']);
  if (first > 4 * GIB) rows.splice(3, 0, ['0x100000000', `0x${(first - 1).toString(16)}`, 'usable']);
  return rows.map(([start, end, type]) => `BIOS-e820: [mem ${start}-${end}] ${type}`).join('\n');
}

/** `pmem0: detected capacity change from 0 to 4294967296`. */
function diskBytesOf(messages: readonly string[]): Record<string, number> {
  const sizes = messages.map((message) => /^(pmem\d+): detected capacity change from 0 to (\d+)$/.exec(message)).filter((match) => match !== null);
  return Object.fromEntries(sizes.map((match) => [match[1]!, Number(match[2])]));
}
