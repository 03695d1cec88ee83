/**
 * What a boot log says that follows from the map, the command line and the release, and from nothing else: the maps, what was done to them,
 * zones, nodes, holes, struct pages, what hibernation leaves alone, and where PCI finds room.
 * Not among them, for they depend on the kernel image, the initramfs and early allocations: reserved and managed pages, NODE_DATA, and where
 * a crash kernel's memory lies.
 */
import { bootLogLines, parseBootLog } from '@holdfast/cli';

type Facts = Record<string, unknown>;

/** A fact whose lines are not there is left out: an excerpt lacks some, and lacking is no fact. */
export function followOn(text: string): Facts {
  const { e820, memblock } = parseBootLog(text);
  const lines = bootLogLines(text);
  const matches = (pattern: RegExp): string[] => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []);
  const facts: Facts = {
    bios: e820.bios,
    user: e820.user,
    modified: e820.modified,
    setup_data: e820.setup_data,
    updates: e820.updates.filter(({ op }) => op !== 'reserve RAM buffer'),
    ram_buffers: e820.updates.filter(({ op }) => op === 'reserve RAM buffer'),
    last_pfn: e820.last_pfn,
    max_arch_pfn: e820.max_arch_pfn,
    zone_ranges: memblock.zone_ranges,
    movable_start: memblock.movable_start,
    node_ranges: memblock.node_ranges,
    initmem: memblock.initmem,
    unavailable: memblock.unavailable,
    unavailable_sums: matches(/^((?:Zeroed struct page in| {2}\w+ zone: \d+ pages in) unavailable ranges.*)/),
    numa: matches(/^(?:ACPI: )?((?:SRAT: Node |NUMA: Node |No NUMA configuration|NUMA turned off|Faking ).*)/),
    total_pages: matches(/^(On node \d+ totalpages: \d+)/),
    memmap: matches(/^ {2}(\w+ zone: \d+ pages used for memmap)/),
    nosave: matches(/^PM: (?:hibernation: )?Registered nosave memory: (\[mem .*\])/),
    pci_gap: matches(/^(?:e820: )?(\[mem .*\]) available for PCI devices/),
  };
  return Object.fromEntries(Object.entries(facts).filter(([, fact]) => (Array.isArray(fact) ? fact.length > 0 : fact !== undefined)));
}

/** Of our facts those that the real log carries at all. */
export function carriedBy(real: Facts, ours: Facts): Facts {
  return Object.fromEntries(Object.entries(ours).filter(([name]) => name in real));
}
