/**
 * Boots a real machine from its boot log, as the kernel release that wrote it, and compares the lines that follow the map.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildMachine, createSystem, loadFirmware, planMachine } from '@holdfast/cli';
import { DEFAULT_RELEASE, parseRelease } from '@holdfast/lib';
import { type Difference, compareFacts } from './compare.js';
import { carriedBy, followOn } from './follow-on.js';
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
    const real = followOn(readFileSync(path, 'utf8'));
    const ours = followOn(system.log.lines.map((line) => line.text).join('\n'));
    return { ...head, ...compareFacts(real, carriedBy(real, ours)) };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const difference: Difference = { path: 'boot', expected: 'a kernel', actual: failure.split('\n')[0] };
    return { ...head, compared: 1, differences: [difference], leftOut: new Map(), failure };
  }
}
