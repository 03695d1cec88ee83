/**
 * Making a namespace fsdax or devdax: how much its struct pages take, where the data begins, and the info block that says so.
 * Mirrors drivers/nvdimm/pfn_devs.c: nd_pfn_init, nd_pfn_clear_memmap_errors, __nvdimm_setup_pfn.
 *
 *     start    +4 KiB      +8 KiB                     start + dataOffset            start + size − endTrunc
 *     ├ left alone ┼ info block ┼ struct pages (mode pmem) ┼ data: nrPfns pages of 4 KiB ──┼ lost ┤
 *
 * Struct pages are counted for everything behind the info block, themselves included. Both ends of the data lie on multiples of the
 * alignment as addresses, not as offsets.
 *
 * Differs from Linux: a block whose data begins inside the first 8 KiB is refused with its struct pages on the device too, not in RAM only.
 */
import { KIB, PAGE_SIZE, SUBSECTION_SIZE, hex, hex16, isAligned, roundDown, roundUp } from '@holdfast/lib';
import { type InfoBlockKind, type PfnMode, INFO_BLOCK_OFFSET, INFO_BLOCK_RESERVE, INFO_BLOCK_SIGNATURE, PFN_MODE, encodeInfoBlock } from './info-block.js';
import { type PfnLimits, type PfnNamespace, type PfnRefusal, type PfnSettings, type ValidInfoBlock, X86_64_LIMITS, readInfoBlock } from './info-block-check.js';
import { type NamespaceIo, writeBytes } from './namespace-io.js';
import { NULL_UUID } from './uuid.js';

/** A namespace to be formatted, or already formatted, and how. */
export interface PfnInit {
  readonly kind: InfoBlockKind;
  readonly namespace: PfnNamespace;
  readonly settings: PfnSettings;
  readonly region: { readonly name: string; readonly readOnly: boolean };
  readonly limits?: PfnLimits;
}

/** Where the parts of a namespace lie. Offsets and sizes in bytes from its start. */
export interface PfnLayout {
  readonly dataOffset: number;
  readonly endTrunc: number;
  readonly nrPfns: number;
}

export type PfnPlan = { readonly layout: PfnLayout } | { readonly refused: PfnRefusal };

/** What __nvdimm_setup_pfn maps: the whole namespace but its lost ends, info block and struct pages included. */
export interface PfnMapping {
  /** Physical, half-open. */
  readonly start: number;
  readonly end: number;
  /** Physical address of the first data byte. */
  readonly dataStart: number;
  readonly nrPfns: number;
  /** In mode pmem: the device's own frames that struct pages may take. All in frames. */
  readonly altmap?: { readonly basePfn: number; readonly endPfn: number; readonly reserve: number; readonly free: number };
}

/** What Linux's struct page may grow to: the room that is set aside for each, whatever a kernel really uses. */
const MAX_STRUCT_PAGE_SIZE = 64;

/** Plan a fresh layout, without touching the media. */
export function planPfn(
  { name, start, sizeBytes }: Pick<PfnNamespace, 'name' | 'start' | 'sizeBytes'>,
  { mode, align }: Pick<PfnSettings, 'mode' | 'align'>,
  limits: PfnLimits = X86_64_LIMITS,
): PfnPlan {
  const { compatAlign, structPageSize } = limits;
  const grain = Math.max(align, compatAlign);
  if (!isAligned(start, compatAlign)) {
    const log = `${name}: start ${hex16(start)} misaligned to ${hex(compatAlign)}`;
    return { refused: { code: 'EINVAL', log, rule: `the namespace must begin on ${compatAlign}`, nearest: { start: roundUp(start, compatAlign) } } };
  }
  if (mode === 'none') return { refused: { code: 'ENXIO', rule: 'the map must be in RAM or on the device' } };
  if (mode === 'pmem' && structPageSize > MAX_STRUCT_PAGE_SIZE) {
    const log = 'Memory debug options prevent using pmem for the page map';
    return { refused: { code: 'EINVAL', log, rule: `a struct page must not exceed ${MAX_STRUCT_PAGE_SIZE} bytes` } };
  }
  const dataOffset = dataOffsetOf(start, sizeBytes, mode, grain);
  if (dataOffset >= sizeBytes) {
    const rule = `metadata rounded up to ${grain} leaves nothing of ${sizeBytes} bytes`;
    const nearest = nearestThatFits(start, sizeBytes, mode, grain, limits);
    return { refused: { code: 'ENXIO', log: `${name} unable to satisfy requested alignment`, rule, nearest } };
  }
  const end = start + sizeBytes;
  const endTrunc = end - roundDown(end, grain);
  return { layout: { dataOffset, endTrunc, nrPfns: Math.floor((sizeBytes - dataOffset - endTrunc) / PAGE_SIZE) } };
}

/**
 * Use the namespace's info block or, if there is none of this kind, write one.
 * With the map on the device, known bad blocks under it are repaired by writing zeros.
 *
 * @throws KernelError what the media throws
 */
export function initPfn(io: NamespaceIo, request: PfnInit): { readonly valid: ValidInfoBlock; readonly created: boolean } | { readonly refused: PfnRefusal } {
  const { kind, namespace, settings, region, limits = X86_64_LIMITS } = request;
  const found = readInfoBlock(io, { kind, namespace, settings, limits });
  if ('valid' in found) {
    clearMemmapErrors(io, settings.mode, found.valid.dataOffset);
    return { ...found, created: false };
  }
  if (found.refused.code !== 'ENODEV') return found;
  if (region.readOnly) return { refused: { code: 'ENXIO', log: `${region.name} is read-only, unable to init metadata`, rule: 'the region must be writable' } };
  const plan = planPfn(namespace, settings, limits);
  if ('refused' in plan) return plan;
  clearMemmapErrors(io, settings.mode, plan.layout.dataOffset);
  writeBytes(io, INFO_BLOCK_OFFSET, freshInfoBlock(request, plan.layout));
  return { valid: { ...settings, ...plan.layout, startPad: 0 }, created: true };
}

/** What to map of a namespace with a valid block. The block's page count yields to the namespace's size as it is today. */
export function setupPfn(
  namespace: PfnNamespace,
  block: ValidInfoBlock,
): { readonly mapping: PfnMapping; readonly log?: string } | { readonly refused: PfnRefusal } {
  const { dataOffset, startPad, endTrunc, mode } = block;
  const start = namespace.start + startPad;
  const end = namespace.start + namespace.sizeBytes - endTrunc;
  const range = { start, end, dataStart: start + dataOffset };
  if (dataOffset < INFO_BLOCK_RESERVE) return { refused: { code: 'EINVAL', rule: 'the data must begin behind the first 8 KiB' } };
  if (mode === 'ram') return { mapping: { ...range, nrPfns: block.nrPfns } };
  const nrPfns = Math.floor((end - start - dataOffset) / PAGE_SIZE);
  const log = block.nrPfns > nrPfns ? { log: `number of pfns truncated from ${block.nrPfns} to ${nrPfns}` } : {};
  const basePfn = roundDown(start, SUBSECTION_SIZE) / PAGE_SIZE;
  const altmap = {
    basePfn,
    endPfn: Math.floor((end - 1) / PAGE_SIZE),
    reserve: INFO_BLOCK_RESERVE / PAGE_SIZE + Math.floor(start / PAGE_SIZE) - basePfn,
    free: Math.floor((dataOffset - INFO_BLOCK_RESERVE) / PAGE_SIZE),
  };
  return { mapping: { ...range, nrPfns, altmap }, ...log };
}

function dataOffsetOf(start: number, sizeBytes: number, mode: PfnMode, grain: number): number {
  const mapBytes = mode === 'pmem' ? MAX_STRUCT_PAGE_SIZE * Math.floor((sizeBytes - 8 * KIB) / PAGE_SIZE) : 0;
  return roundUp(start + INFO_BLOCK_RESERVE + mapBytes, grain) - start;
}

/** The smallest size that leaves one grain of data, and the largest smaller alignment that works in the size there is. */
function nearestThatFits(start: number, sizeBytes: number, mode: PfnMode, grain: number, limits: PfnLimits): NonNullable<PfnRefusal['nearest']> {
  // The map grows with the size by a 64th, so this settles after a few rounds.
  let size = sizeBytes;
  for (let next = size; ; size = next) {
    next = dataOffsetOf(start, size, mode, grain) + grain;
    if (next <= size) break;
  }
  const fits = (align: number): boolean => align < grain && dataOffsetOf(start, sizeBytes, mode, Math.max(align, limits.compatAlign)) < sizeBytes;
  const align = limits.supportedAlignments.filter(fits).at(-1);
  return { sizeBytes: size, ...(align === undefined ? {} : { align }) };
}

function freshInfoBlock({ kind, namespace, settings }: PfnInit, { dataOffset, nrPfns, endTrunc }: PfnLayout): Uint8Array {
  return encodeInfoBlock({
    signature: INFO_BLOCK_SIGNATURE[kind],
    uuid: settings.uuid,
    parentUuid: namespace.uuid ?? NULL_UUID,
    flags: 0,
    versionMajor: 1,
    versionMinor: 4,
    dataOffset: BigInt(dataOffset),
    nrPfns: BigInt(nrPfns),
    mode: PFN_MODE[settings.mode],
    startPad: 0,
    endTrunc,
    // As requested, though the layout is that of the hot-plug grain or more.
    align: settings.align,
    pageSize: PAGE_SIZE,
    pageStructSize: MAX_STRUCT_PAGE_SIZE,
  });
}

/** Struct pages are stored to by the CPU, which would take a machine check on lost media: make it whole first. */
function clearMemmapErrors(io: NamespaceIo, mode: PfnMode, dataOffset: number): void {
  if (mode !== 'pmem') return;
  const zeros = new Uint8Array(PAGE_SIZE);
  for (const { start, end } of io.badRanges?.(INFO_BLOCK_RESERVE, dataOffset - INFO_BLOCK_RESERVE) ?? []) {
    for (let page = roundDown(Math.max(start, INFO_BLOCK_RESERVE), PAGE_SIZE); page < Math.min(end, dataOffset); page += PAGE_SIZE) writeBytes(io, page, zeros);
  }
}
