/**
 * Boots a real machine from its boot log, as the kernel release that wrote it, and compares the lines that follow the map.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type BootLogFacts, buildMachine, createSystem, loadFirmware, parseBootLog, planMachine } from '@holdfast/cli';
import { DEFAULT_RELEASE, parseRelease } from '@holdfast/lib';
import { type Difference, compareFacts } from './compare.js';
import type { CaseResult } from './run-case.js';

/** The logs in a directory. */
export function listLogs(directory: string): string[] {
  return readdirSync(directory).sort().filter((name) => name.endsWith('.txt')).map((name) => join(directory, name));
}

export async function runLog(path: string): Promise<CaseResult> {
  const head = { name: basename(path, '.txt'), group: 'real' };
  try {
    const { firmware, cmdline = '', release: text, hypervisor = true, config } = loadFirmware(path);
    const release = text === undefined ? DEFAULT_RELEASE : parseRelease(text);
    const { machine } = await buildMachine(planMachine({ firmware, cmdline, release }), { hypervisor });
    const system = createSystem({ machine, firmware, cmdline, release, config });
    const real = parseBootLog(readFileSync(path, 'utf8'));
    const ours = parseBootLog(system.log.lines.map((line) => line.text).join('\n'));
    return { ...head, ...compareFacts(followOn(real, real), followOn(ours, real)) };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const difference: Difference = { path: 'boot', expected: 'a kernel', actual: failure.split('\n')[0] };
    return { ...head, compared: 1, differences: [difference], leftOut: new Map(), failure };
  }
}

/** The facts that the real log carries at all: an excerpt lacks some, and lacking is no fact. */
function followOn(facts: BootLogFacts, real: BootLogFacts): Record<string, unknown> {
  const { e820, memblock } = facts;
  const kept: Record<string, unknown> = {};
  const keep = (name: string, value: unknown, realValue: unknown): void => {
    if (Array.isArray(realValue) ? realValue.length > 0 : realValue !== undefined) kept[name] = value;
  };
  keep('bios', e820.bios, real.e820.bios);
  keep('user', e820.user, real.e820.user);
  keep('setup_data', e820.setup_data, real.e820.setup_data);
  keep('last_pfn', e820.last_pfn, real.e820.last_pfn);
  keep('max_arch_pfn', e820.max_arch_pfn, real.e820.max_arch_pfn);
  keep('zone_ranges', memblock.zone_ranges, real.memblock.zone_ranges);
  keep('movable_start', memblock.movable_start, real.memblock.movable_start);
  keep('node_ranges', memblock.node_ranges, real.memblock.node_ranges);
  keep('initmem', memblock.initmem, real.memblock.initmem);
  keep('unavailable', memblock.unavailable, real.memblock.unavailable);
  return kept;
}
