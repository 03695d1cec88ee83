/**
 * The devices of /sys/bus/nd as libndctl sees them: buses with DIMMs and regions, regions with namespaces and what holds them.
 * Mirrors ndctl's ndctl/lib/libndctl.c, with nothing kept: each question reads sysfs again.
 */
import { resolvePath } from '@holdfast/kernel';
import { dirAt } from '../../facts/sysfs.js';
import { type NdctlContext, dbg } from './context.js';
import { inReaddirOrder } from './name-hash.js';
import { blockDeviceOf, isBound, readAttr, readNumber } from './sysfs-access.js';

interface NdDevice {
  readonly name: string;
  readonly id: number;
  /** Below /sys/devices. */
  readonly path: string;
}
export type NdBus = NdDevice;
export interface Dimm extends NdDevice {
  readonly bus: NdBus;
}
export interface Region extends NdDevice {
  readonly bus: NdBus;
}
export interface Namespace extends NdDevice {
  readonly region: Region;
}
export type ClaimKind = 'btt' | 'pfn' | 'dax';
/** What may hold a namespace. */
export interface Claim extends NdDevice {
  readonly kind: ClaimKind;
  readonly region: Region;
}

export type Mode = 'raw' | 'sector' | 'fsdax' | 'devdax';

/** Namespaces without labels. */
export const NSTYPE_IO = 4;
/** Where ndctl has an unsigned int that says "none". */
export const UINT_MAX = 0xffffffff;

export function buses(ctx: NdctlContext): NdBus[] {
  const ids = [...(dirAt(ctx.root, '/sys/bus/nd/devices')?.list() ?? [])].flatMap((name) => /^ndbus(\d+)$/.exec(name)?.[1] ?? []);
  // libndctl finds them by their character devices, in /sys/class/nd.
  return inReaddirOrder(ids.map((id) => `ndctl${id}`)).reverse().map((device) => {
    const id = Number(device.slice(5));
    const { path } = resolvePath(ctx.root, `/sys/bus/nd/devices/ndbus${id}`);
    return { name: `ndbus${id}`, id, path };
  });
}

/** Children by name, in the order of libndctl's lists. */
function children(ctx: NdctlContext, path: string, pattern: RegExp): NdDevice[] {
  return inReaddirOrder(dirAt(ctx.root, path)?.list() ?? []).reverse().flatMap((name) => {
    const match = pattern.exec(name);
    return match ? [{ name, id: Number(match[1]), path: `${path}/${name}` }] : [];
  });
}

export function regions(ctx: NdctlContext, bus: NdBus): Region[] {
  const found = children(ctx, bus.path, /^region(\d+)$/).map((device) => ({ ...device, bus }));
  for (const region of [...found].reverse()) announceRegion(ctx, region);
  return found;
}

/** With -v libndctl tells of each labelled region once, and again when its labels changed. */
export function announceRegion(ctx: NdctlContext, region: Region): void {
  const nstype = readNumber(ctx, region.path, 'nstype');
  const key = `${region.path} ${nstype}`;
  if (ctx.announced.has(key)) return;
  ctx.announced.add(key);
  const cookie = readAttr(ctx, region.path, 'set_cookie');
  if (nstype === NSTYPE_IO || cookie === undefined) return;
  dbg(ctx, 'region_set_type', `${region.name}: iset-0x${BigInt(cookie).toString(16).padStart(16, '0')} added`);
}

function listDimms(ctx: NdctlContext, bus: NdBus): Dimm[] {
  return children(ctx, bus.path, /^nmem(\d+)$/).map((device) => ({ ...device, bus }));
}

/** With -v libndctl tells of each DIMM once. */
export function dimms(ctx: NdctlContext, bus: NdBus): Dimm[] {
  const found = listDimms(ctx, bus);
  for (const dimm of [...found].reverse()) {
    if (ctx.announced.has(dimm.path)) continue;
    ctx.announced.add(dimm.path);
    const flags = readAttr(ctx, dimm.path, 'flags');
    if (flags !== undefined) dbg(ctx, 'parse_dimm_flags', `${dimm.name}: ${flags.split(' ')[0]}`); // the first: it has cut the others off
    if (readAttr(ctx, dimm.path, 'nfit/flags') !== undefined) dbg(ctx, 'parse_nfit_mem_flags', `${dimm.name}: ${dimmFlags(ctx, dimm)[0] ?? ''}`);
  }
  return found;
}

export function dimmFlags(ctx: NdctlContext, dimm: Dimm): string[] {
  return (readAttr(ctx, dimm.path, 'nfit/flags') ?? '').split(' ').filter((flag) => flag !== '');
}

/** A stretch of a DIMM in a region. Bytes. */
export interface Mapping {
  readonly dimm: string;
  readonly offset: number;
  readonly length: number;
  readonly position: number | undefined;
}

export function mappings(ctx: NdctlContext, region: Region): Mapping[] {
  const count = readNumber(ctx, region.path, 'mappings') ?? 0;
  const found = Array.from({ length: count }, (_, index) => {
    const [dimm = '', offset, length, position] = (readAttr(ctx, region.path, `mapping${index}`) ?? '').split(',');
    return { dimm, offset: Number(offset), length: Number(length), position: position === undefined ? undefined : Number(position) };
  });
  return found.reverse();
}

/** The DIMMs of a region, each once. */
export function dimmsInRegion(ctx: NdctlContext, region: Region): Dimm[] {
  return inRegion(ctx, region, dimms(ctx, region.bus));
}

/** The same for a look that ndctl does not take: nothing is told. */
export function listDimmsInRegion(ctx: NdctlContext, region: Region): Dimm[] {
  return inRegion(ctx, region, listDimms(ctx, region.bus));
}

function inRegion(ctx: NdctlContext, region: Region, candidates: Dimm[]): Dimm[] {
  const names = new Set(mappings(ctx, region).map(({ dimm }) => dimm));
  return candidates.filter(({ name }) => names.has(name));
}

export function interleaveWays(ctx: NdctlContext, region: Region): number {
  return Math.max(1, readNumber(ctx, region.path, 'mappings') ?? 0);
}

export function nstype(ctx: NdctlContext, device: { readonly path: string }): number {
  return readNumber(ctx, device.path, 'nstype') ?? 0;
}

/** Bytes that a new namespace may get; 0 where there are no labels. */
export function maxAvailableExtent(ctx: NdctlContext, region: Region): number {
  return nstype(ctx, region) === NSTYPE_IO ? 0 : (readNumber(ctx, region.path, 'max_available_extent') ?? availableSize(ctx, region));
}

export function availableSize(ctx: NdctlContext, region: Region): number {
  return nstype(ctx, region) === NSTYPE_IO ? 0 : (readNumber(ctx, region.path, 'available_size') ?? 0);
}

export function namespaces(ctx: NdctlContext, region: Region): Namespace[] {
  return children(ctx, region.path, /^namespace\d+\.(\d+)$/).map((device) => ({ ...device, region }));
}

/** The idle device that the kernel keeps for the next of its kind. */
export function seed(ctx: NdctlContext, region: Region, kind: ClaimKind | 'namespace'): NdDevice | undefined {
  const name = readAttr(ctx, region.path, `${kind}_seed`);
  return name ? { name, id: Number(name.split('.')[1]), path: `${region.path}/${name}` } : undefined;
}

export function claimSeed(ctx: NdctlContext, region: Region, kind: ClaimKind): Claim | undefined {
  const device = seed(ctx, region, kind);
  return device && { ...device, kind, region };
}

export function namespaceSeed(ctx: NdctlContext, region: Region): Namespace | undefined {
  const device = seed(ctx, region, 'namespace');
  return device && { ...device, region };
}

/** What holds a namespace, if anything does. */
export function holderOf(ctx: NdctlContext, ns: Namespace): Claim | undefined {
  const match = /^(btt|pfn|dax)\d+\.(\d+)$/.exec(readAttr(ctx, ns.path, 'holder') ?? '');
  return match ? { kind: match[1] as ClaimKind, name: match[0], id: Number(match[2]), path: `${ns.region.path}/${match[0]}`, region: ns.region } : undefined;
}

/** In use: bound, or held by something that is. */
export function isActive(ctx: NdctlContext, ns: Namespace): boolean {
  return isBound(ctx, (holderOf(ctx, ns) ?? ns).path);
}

const MODES: Readonly<Record<string, Mode>> = { raw: 'raw', safe: 'sector', memory: 'fsdax', dax: 'devdax' };

/** The kernel's word for the mode in ndctl's words. */
export function modeOf(ctx: NdctlContext, ns: Namespace): Mode | undefined {
  return MODES[readAttr(ctx, ns.path, 'mode') ?? ''];
}

/** Bytes of the namespace itself, with its info block and struct pages. */
export function sizeOf(ctx: NdctlContext, ns: Namespace): number {
  return readNumber(ctx, ns.path, 'size') ?? 0;
}

const NULL_UUID = '00000000-0000-0000-0000-000000000000';

export function uuidOf(ctx: NdctlContext, device: { readonly path: string }): string {
  return readAttr(ctx, device.path, 'uuid') || NULL_UUID;
}

export function hasUuid(ctx: NdctlContext, device: { readonly path: string }): boolean {
  return uuidOf(ctx, device) !== NULL_UUID;
}

const ND_MIN_NAMESPACE_SIZE = 4096;

/** Free for a new namespace: not in use, and without a size of its own unless it has no labels. */
export function isConfigurationIdle(ctx: NdctlContext, ns: Namespace): boolean {
  if (isActive(ctx, ns)) return false;
  if (nstype(ctx, ns) === NSTYPE_IO) return true;
  return sizeOf(ctx, ns) < ND_MIN_NAMESPACE_SIZE || !hasUuid(ctx, ns);
}

/** Sizes that an attribute such as `512 [4096]` offers, and the one it has: UINT_MAX if none, 0 if there is no choice. */
export function sectorSizes(ctx: NdctlContext, device: { readonly path: string }): { supported: number[]; selected: number } {
  const words = (readAttr(ctx, device.path, 'sector_size') ?? '').split(/\s+/).filter((word) => word !== '');
  const chosen = words.find((word) => word.startsWith('['));
  return {
    supported: words.map((word) => Number(word.replace(/[[\]]/g, ''))),
    selected: words.length === 0 ? 0 : chosen === undefined ? UINT_MAX : Number(chosen.slice(1, -1)),
  };
}

export function namespaceSectorSizes(ctx: NdctlContext, ns: Namespace): { supported: number[]; selected: number } {
  return nstype(ctx, ns) === NSTYPE_IO ? { supported: [], selected: 0 } : sectorSizes(ctx, ns);
}

export function supportedAlignments(ctx: NdctlContext, claim: Claim): number[] {
  return (readAttr(ctx, claim.path, 'supported_alignments') ?? '').split(/\s+/).filter((word) => word !== '').map(Number);
}

/** The disk of a namespace or of what holds it; '' if there is none. */
export function blockDevice(ctx: NdctlContext, device: { readonly path: string }): string {
  return isBound(ctx, device.path) ? blockDeviceOf(ctx, device.path) : '';
}
