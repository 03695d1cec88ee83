/**
 * What becomes of so many bytes of persistent memory in each mode, map and alignment: how many are left for data, how many of DRAM the
 * struct pages take, and how many memory blocks a devdax makes as RAM. For Linux 6.1 on x86-64.
 *
 * The layouts are those that the nvdimm package writes; ndctl's checks come before them, in its order.
 */
import { KIB, MIB, PAGE_SIZE, STRUCT_PAGE_SIZE } from '@holdfast/lib';
import { bttCapacity, planPfn } from '@holdfast/nvdimm';

export interface SizeRow {
  readonly mode: 'raw' | 'sector' | 'fsdax' | 'devdax';
  /** Where struct pages lie; of modes that have some. */
  readonly map?: 'mem' | 'dev';
  /** Bytes: of the pages that are mapped. */
  readonly align?: number;
  /** Bytes: of sector mode's sectors. */
  readonly sectorSize?: number;
  /** Bytes of the namespace. */
  readonly size: number;
  /** Bytes for data; 0 if it cannot be made. */
  readonly usable: number;
  /** Bytes of DRAM that its struct pages take. */
  readonly ram: number;
  /** Physical address of the first data byte; of modes that map pages. */
  readonly dataStart?: number;
  /** Whole memory blocks inside of a devdax: what `daxctl reconfigure-device --mode=system-ram` can use of it. */
  readonly ramBlocks?: number;
  /** Why it cannot be made, and what could. */
  readonly why?: { readonly rule: string; readonly nearest?: readonly string[] };
}

export interface SizeRequest {
  /** Bytes of the namespace. */
  readonly size: number;
  /** Physical address of its first byte. */
  readonly start: number;
  /** Bytes of a memory block. */
  readonly blockSize: number;
  /** DIMMs that its region is interleaved over; 1 if left out. */
  readonly ways?: number;
}

type Kind = Pick<SizeRow, 'mode' | 'map' | 'align' | 'sectorSize'>;

const GIB_PAGE = 1024 * MIB;
const ALIGNS = [PAGE_SIZE, 2 * MIB, GIB_PAGE];
/** What nothing is smaller than. */
const LEAST_HOSTED = 16 * MIB;

/** What sizes in a region are multiples of, as the kernel chooses it (region_devs.c: default_align). */
function regionAlign(ways: number): number {
  return LEAST_HOSTED % ways === 0 ? LEAST_HOSTED : LEAST_HOSTED * ways;
}

const KINDS: readonly Kind[] = [
  { mode: 'raw' },
  ...[512, 4096].map((sectorSize) => ({ mode: 'sector' as const, sectorSize })),
  ...(['fsdax', 'devdax'] as const).flatMap((mode) => (['mem', 'dev'] as const).flatMap((map) => ALIGNS.map((align) => ({ mode, map, align })))),
];

/** One row for each way to use the namespace. */
export function sizeTable(request: SizeRequest): SizeRow[] {
  return KINDS.map((kind) => sizeRow(kind, request));
}

/** For each way, the smallest namespace whose data is at least `need` bytes. */
export function smallestFor(need: number, request: Omit<SizeRequest, 'size'>): SizeRow[] {
  const { ways = 1 } = request;
  return KINDS.map((kind) => {
    // With a power of two for alignment, the larger one is a multiple of the other.
    const step = Math.max(regionAlign(ways), (kind.align ?? 0) * ways);
    let row = sizeRow(kind, { ...request, size: multiple(Math.max(need, 1), step) });
    // What is missing only grows by the metadata of what is added, a 64th at most, so a few rounds do.
    for (let round = 0; row.usable < need && round < 64; round++) {
      const missing = Math.max(need - row.usable, step);
      row = sizeRow(kind, { ...request, size: multiple(row.size + (row.usable === 0 ? step : missing), step) });
    }
    return row;
  });
}

function sizeRow(kind: Kind, request: SizeRequest): SizeRow {
  const { size, ways = 1 } = request;
  const refused = ndctlRefusal(kind, size, ways);
  if (refused) return { ...kind, size, usable: 0, ram: 0, why: refused };
  if (kind.mode === 'raw') return { ...kind, size, usable: size, ram: 0 };
  if (kind.mode === 'sector') return { ...kind, size, usable: bttCapacity(size, kind.sectorSize!, 'btt'), ram: 0 };
  return mappedRow({ ...kind, mode: kind.mode, map: kind.map!, align: kind.align! }, request);
}

function ndctlRefusal({ mode, align = PAGE_SIZE }: Kind, size: number, ways: number): SizeRow['why'] {
  const region = regionAlign(ways);
  if (size % region !== 0) return { rule: `a namespace has a multiple of its region's alignment, ${region / MIB} MiB`, nearest: bothWays(size, region) };
  if (size % (align * ways) !== 0) {
    return {
      rule: `its size is a multiple of the alignment${ways === 1 ? '' : ` times ${ways} DIMMs`}, ${align * ways}`,
      nearest: bothWays(size, align * ways),
    };
  }
  if (size < LEAST_HOSTED && mode !== 'raw') return { rule: 'nothing holds a namespace below 16 MiB', nearest: ['--size=16M'] };
  return undefined;
}

/** Up to the next multiple of any number. */
function multiple(size: number, step: number): number {
  return Math.ceil(size / step) * step;
}

/** The next sizes up and down. */
function bothWays(size: number, step: number): string[] {
  const [up, down] = [multiple(size, step), Math.floor(size / step) * step];
  return [`--size=${up}`, ...(down > 0 ? [`--size=${down}`] : [])];
}

interface MappedKind extends Kind {
  readonly mode: 'fsdax' | 'devdax';
  readonly map: 'mem' | 'dev';
  readonly align: number;
}

function mappedRow(kind: MappedKind, { size, start, blockSize }: SizeRequest): SizeRow {
  const { map, align, mode } = kind;
  const plan = planPfn({ name: 'namespace', start, sizeBytes: size }, { mode: map === 'mem' ? 'ram' : 'pmem', align });
  if ('refused' in plan) return { ...kind, size, usable: 0, ram: 0, why: whyOf(plan.refused) };
  const { dataOffset, endTrunc, nrPfns } = plan.layout;
  const [dataStart, end] = [start + dataOffset, start + size - endTrunc];
  const usable = nrPfns * PAGE_SIZE;
  const ramBlocks = mode === 'devdax' ? Math.max(0, Math.floor(end / blockSize) - Math.ceil(dataStart / blockSize)) : undefined;
  const ram = map === 'dev' ? 0 : structPageBytes(size - endTrunc, mode === 'devdax' ? align : PAGE_SIZE);
  return { ...kind, size, usable, ram, dataStart, ...(ramBlocks === undefined ? {} : { ramBlocks }) };
}

/**
 * DRAM for the struct pages of so many mapped bytes. Device-dax with large pages keeps two pages of them for each, since all tail struct
 * pages are alike (vmemmap_populate_compound_pages), and maps them with base pages, which needs page tables.
 */
function structPageBytes(mapped: number, pageSize: number): number {
  const all = (mapped / PAGE_SIZE) * STRUCT_PAGE_SIZE;
  if (pageSize === PAGE_SIZE) return all;
  const compound = Math.ceil(mapped / pageSize) * 8 * KIB;
  const pageTables = Math.ceil(all / (2 * MIB)) * PAGE_SIZE;
  return Math.min(all, compound + pageTables);
}

function whyOf({
  rule,
  nearest = {},
}: {
  readonly rule: string;
  readonly nearest?: { readonly start?: number; readonly sizeBytes?: number; readonly align?: number };
}): NonNullable<SizeRow['why']> {
  const { sizeBytes, align, start } = nearest;
  const requests = [
    ...(sizeBytes === undefined ? [] : [`--size=${sizeBytes}`]),
    ...(align === undefined ? [] : [`--align=${align}`]),
    ...(start === undefined ? [] : [`--start=${start}`]),
  ];
  return { rule, ...(requests.length > 0 ? { nearest: requests } : {}) };
}
