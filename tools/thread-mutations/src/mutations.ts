/**
 * How each row's design is taken out of the kernel: by an edit of one source file, which lives as long as a run of the tests.
 *
 * A design of pmem.pages goes by its registration: the word is unknown then. What is no registration goes at the one place that makes it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './rows.js';

export interface Mutation {
  readonly rows: readonly number[];
  /** What is missing then, for people. */
  readonly without: string;
  /** From the repository's root. */
  readonly file: string;
  /** Stands once in the file, and is replaced. */
  readonly find: string;
  readonly replace: string;
}

/** A design's line in the list of the words of pmem.pages. */
function registration(word: string, identifier: string, rows: readonly number[]): Mutation {
  const key = /^\w+$/.test(word) ? word : `'${word}'`;
  return { rows, without: `\`pmem.pages=${word}\``, file: 'packages/pmem/src/pmem-pages.ts', find: `  ${key}: ${identifier},\n`, replace: '' };
}

export const MUTATIONS: readonly Mutation[] = [
  registration('none', 'noPages', [1, 3, 4, 5, 6, 8, 9, 21, 38]),
  registration('ram', 'pagesInRam', [7, 10, 11, 12, 13, 22, 24, 37, 38]),
  registration('e820-pages', 'bootPages', [10]),
  registration('pfn', 'pfnScatterlists', [14, 15]),
  registration('dynamic', 'dynamicPages', [12, 16, 17, 37, 38]),
  registration('temporary', 'temporaryPages', [18]),
  registration('variable', 'variablePages', [19]),
  registration('device', 'pagesOnDevice', [4, 23, 25, 31, 33, 34, 35, 36, 37, 38]),
  registration('page-cache', 'pageCachePages', [38, 44]),
  registration('hotplug', 'hotplugPages', [26, 27, 28, 29, 38]),
  registration('add-section', 'addSectionPages', [30, 38]),
  {
    rows: [1], without: 'the v4.1 driver', file: 'packages/kernel/src/drivers.ts',
    find: "        { level: 'device', name: 'pmem_init', run: () => startPlatformPmem(platform, pmem) },\n", replace: '',
  },
  {
    rows: [2], without: 'disks of type 12', file: 'packages/kernel/src/drivers.ts',
    find: "        { level: 'device', name: 'register_e820_pmem', run: () => void registerE820Pmem(platform, iomem) },\n", replace: '',
  },
  {
    rows: [3, 5, 21], without: 'the page cache of block devices', file: 'packages/block/src/bdev.ts',
    find: 'if (pageCache && !bdev.mapping)', replace: 'if (false)',
  },
  {
    rows: [4], without: 'pages of RAM as buffers of O_DIRECT', file: 'packages/mm/src/gup.ts',
    find: '  if (isNormalPage(leaf)) {\n', replace: "  if (isNormalPage(leaf)) {\n    throw new KernelError('EFAULT', 'taken out');\n",
  },
  {
    rows: [5], without: 'wear counted by lines', file: 'packages/machine/src/wear.ts',
    find: 'return this.#runLines(page) + (leaf === undefined ? 0 : this.#counted(leaf, page - nr * LEAF_PAGES));', replace: 'return 0;',
  },
  {
    rows: [6, 21, 22], without: 'direct access to pmem', file: 'packages/pmem/src/nd-pmem.ts',
    find: '    undo.push(needs.daxHosts.addHost(disk, daxDev));\n', replace: '',
  },
  {
    rows: [7], without: 'ZONE_DEVICE', file: 'packages/memory-hotplug/src/memremap.ts',
    find: '      zoneDevice.moveToZoneDevice(range, node, pgmap, pagemapPages(pgmap));\n', replace: '',
  },
  {
    rows: [8], without: 'special page table entries', file: 'packages/pmem/src/designs/none.ts',
    find: "pte: 'special'", replace: "pte: 'devmap'",
  },
  {
    rows: [9], without: 'the refusal of special entries by get_user_pages', file: 'packages/pmem/src/designs/none.ts',
    find: "        throw new KernelError('EFAULT', `${name}: pfn ${hex(pfn)} has no struct page`);\n", replace: '',
  },
  {
    rows: [12, 17], without: 'the driver of the PCI card', file: 'packages/kernel/src/drivers.ts',
    find: 'run: () => pci.registerDriver(createPmemPciDriver({ ...pmem, pci, memregions: needs.memregions }))', replace: 'run: () => undefined',
  },
  {
    rows: [12], without: 'the limit of pages in RAM to the e820 map', file: 'packages/pmem/src/designs/ram.ts',
    find: "if (bus !== 'e820')", replace: 'if (false)',
  },
  {
    rows: [14], without: "frames without struct pages marked by pfn_t's flags", file: 'packages/block/src/pfn-scatterlist.ts',
    find: 'table.flags[index]! | end', replace: 'end',
  },
  {
    rows: [15], without: 'the check that each layer agrees', file: 'packages/block/src/pfn-io.ts',
    find: 'layers.length > 0 && layers.every(({ takesPageless }) => takesPageless)', replace: 'true',
  },
  {
    rows: [10], without: 'sections of type 12 made by boot', file: 'packages/kernel/src/e820-pages.ts',
    find: '?.madeAtBoot === true', replace: '?.madeAtBoot === undefined',
  },
  {
    rows: [13], without: 'the want of RAM for large devices', file: 'packages/pmem/src/designs/ram.ts',
    find: "throw new KernelError('ENOMEM', ", replace: "throw new KernelError('EIO', ",
  },
  {
    rows: [16], without: 'dynamic pages given back', file: 'packages/pmem/src/designs/dynamic.ts',
    find: '--section.refs === 0', replace: '--section.refs < 0',
  },
  {
    rows: [18], without: 'waiting for a lent page', file: 'packages/pmem/src/designs/temporary.ts',
    find: 'else waiting.push({ pfn, granted });', replace: '',
  },
  {
    rows: [19], without: 'joining of what was split', file: 'packages/pmem/src/designs/variable.ts',
    find: '    level.splits.delete(index);\n    dropLevel(smaller);\n', replace: '',
  },
  {
    rows: [23, 24, 33], without: 'struct pages of 64 bytes: 128 as with debug options', file: 'packages/lib/src/units.ts',
    find: 'export const STRUCT_PAGE_SIZE = 64;', replace: 'export const STRUCT_PAGE_SIZE = 128;',
  },
  {
    rows: [25, 30, 31, 33, 34], without: 'sections added with a pre-allocated area', file: 'packages/memory-hotplug/src/memremap.ts',
    find: '  if (preallocated) return preallocatedAltmap(preallocated);\n', replace: '',
  },
  {
    rows: [26, 27, 28, 29], without: 'a part of the device hot-added as RAM', file: 'packages/pmem/src/designs/ram-partition.ts',
    find: "    memoryHotplug.addMemoryDriverManaged(nid, start, sizeBytes, 'System RAM (pmem)', { preallocated });\n", replace: '',
  },
  {
    rows: [27], without: 'the least size of that part', file: 'packages/pmem/src/designs/hotplug.ts',
    find: 'if (ramBytes < least)', replace: 'if (false)',
  },
  {
    rows: [29], without: 'what the last boot left wiped', file: 'packages/pmem/src/designs/page-area.ts',
    find: '  host.memory.clear(physAdd(start, from), sizeBytes - from);\n', replace: '',
  },
  {
    rows: [32], without: 'write-through', file: 'packages/machine/src/mapping.ts',
    find: 'WT: THROUGH', replace: 'WT: CACHED',
  },
  {
    rows: [32], without: 'uncached loads', file: 'packages/machine/src/mapping.ts',
    find: "this.#uncached = type === 'UC' || type === 'UC-';", replace: 'this.#uncached = false;',
  },
  {
    rows: [32, 39, 40], without: 'the memory type of a device', file: 'packages/pmem/src/pmem-mapping.ts',
    find: 'return MEMORY_TYPES[mapping];', replace: "return 'WB';",
  },
  {
    rows: [35], without: 'the check whose the array is', file: 'packages/pmem/src/designs/page-area.ts',
    find: "  if (found && policy === 'check') checkSameKernel(name, found, wanted);\n", replace: '',
  },
  {
    rows: [36], without: 'the cost of a fresh array', file: 'packages/pmem/src/designs/memremap.ts',
    find: 'host.chargeStores?.(start, sizeBytes, memoryType)', replace: 'undefined',
  },
  {
    rows: [37], without: 'pages that are all there before I/O', file: 'packages/pmem/src/pmem-pages.ts',
    find: '  ram: pagesInRam,', replace: '  ram: dynamicPages,',
  },
  {
    rows: [39], without: 'words for single devices', file: 'packages/pmem/src/device-param.ts',
    find: 'else devices.set(part.slice(0, colon), value);', replace: 'else all = value;',
  },
  {
    rows: [40], without: 'the configured default', file: 'packages/pmem/src/pmem-pages.ts',
    find: ' ?? defaultPages;', replace: ';',
  },
  {
    rows: [41], without: 'pages as a way to map', file: 'packages/pmem/src/pmem-attach.ts',
    find: "  return mapping === 'pages' ? attachMemremap(device, pageHost, { owner, ...infoBlock }) : noPages.attach(device);",
    replace: '  return noPages.attach(device);',
  },
  {
    rows: [44], without: 'pages of the device in the page cache', file: 'packages/pmem/src/pmem-direct-pages.ts',
    find: 'makePage ? { ...ops, directPages: directPagesOf(pmem, makePage) } : ops', replace: 'ops',
  },
  {
    rows: [44], without: 'write-through entries of processes', file: 'packages/pmem/src/designs/page-cache.ts',
    find: '      writeThrough: true,\n', replace: '',
  },
  {
    rows: [20, 42], without: 'designs in the driver', file: 'packages/pmem/src/pmem-attach.ts',
    find: '  if (design) return design.attach(device, pageHost);\n', replace: '',
  },
];

/** The file's text with the design taken out. @throws Error if the text to replace is not there once */
export function mutate({ without, file, find, replace }: Mutation, source: string): string {
  const parts = source.split(find);
  if (parts.length !== 2) throw new Error(`${file} has the text of the mutation 'without ${without}' ${parts.length - 1} times: expected once`);
  return parts.join(replace);
}

export function readSource({ file }: Mutation): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
