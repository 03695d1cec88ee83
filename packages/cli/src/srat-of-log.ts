/**
 * The SRAT of a machine, as far as its boot log tells: the memory ranges of each node, and its processors.
 * Reads the lines of arch/x86/mm/srat.c; a log names only what is enabled. Processors come first in giving nodes their numbers,
 * and a node may have nothing else.
 */
import { type SratMemory, type SratProcessor, encodeSrat } from '@holdfast/acpi';

/** The table's bytes, of lines as bootLogLines gives them, or undefined if the log has no such line. */
export function sratOfLog(lines: readonly string[]): Uint8Array | undefined {
  const memory = lines.flatMap((line): SratMemory[] => {
    const match = /^(?:ACPI: )?SRAT: Node \d+ PXM (\d+) \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\](.*)$/.exec(line);
    if (!match) return [];
    const start = Number(match[2]);
    const length = Number(match[3]) + 1 - start;
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(length) || length <= 0) return [];
    return [
      {
        pxm: Number(match[1]),
        start,
        length,
        enabled: true,
        hotPluggable: match[4]!.includes('hotplug'),
        nonVolatile: match[4]!.includes('non-volatile'),
      },
    ];
  });
  const processors = lines.flatMap((line): SratProcessor[] => {
    const match = /^(?:ACPI: )?SRAT: PXM (\d+) -> APIC (0x[0-9a-f]+|\d+) -> Node \d+/.exec(line);
    return match ? [{ pxm: Number(match[1]), apicId: Number(match[2]), x2apic: /^0x\w{4,}/.test(match[2]!), enabled: true }] : [];
  });
  return memory.length > 0 ? encodeSrat({ processors, memory }) : undefined;
}
