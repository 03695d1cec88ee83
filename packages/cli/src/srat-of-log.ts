/**
 * The SRAT of a machine, as far as its boot log tells: the memory ranges of each node.
 * Reads the lines of arch/x86/mm/srat.c; a log names only what is enabled, and processors are not needed to place memory.
 */
import { type SratMemory, encodeSrat } from '@holdfast/acpi';
import { stripLogPrefix } from './facts/boot-log.js';

/** The table's bytes, or undefined if the log has no such line. */
export function sratOfLog(log: string): Uint8Array | undefined {
  const memory = log.split('\n').flatMap((line): SratMemory[] => {
    const match = /^(?:ACPI: )?SRAT: Node \d+ PXM (\d+) \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\](.*)$/.exec(stripLogPrefix(line));
    if (!match) return [];
    const start = Number(match[2]);
    const length = Number(match[3]) + 1 - start;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length) || length <= 0) return [];
    return [{ pxm: Number(match[1]), start, length, enabled: true, hotPluggable: match[4]!.includes('hotplug'), nonVolatile: match[4]!.includes('non-volatile') }];
  });
  return memory.length > 0 ? encodeSrat({ processors: [], memory }) : undefined;
}
