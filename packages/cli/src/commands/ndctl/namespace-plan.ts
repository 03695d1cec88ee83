/**
 * What a namespace is going to be: the request, completed by what the region and the namespace are, or the first rule that it breaks.
 * Mirrors ndctl's ndctl/namespace.c: validate_namespace_options, whose order of checks decides which message a user sees.
 */
import { MIB, roundDown, roundUp } from '@holdfast/lib';
import { type ErrnoName } from '@holdfast/lib';
import { bootAdvice } from './boot-advice.js';
import { type NdctlContext, debug, err, error } from './context.js';
import { hasLabelCommands } from './label-area-access.js';
import type { CreateRequest } from './namespace-options.js';
import { readNumber } from './sysfs-access.js';
import {
  type Claim, type Mode, type Namespace, type Region, NSTYPE_IO, UINT_MAX,
  claimSeed, holderOf, interleaveWays, listDimmsInRegion, maxAvailableExtent, modeOf, namespaceSectorSizes, namespaceSeed, namespaces, nstype,
  sectorSizes, sizeOf, supportedAlignments,
} from './topology.js';
import { isBound, readAttr } from './sysfs-access.js';

/** All that setting a namespace up needs. Sizes in bytes. */
export interface NamespacePlan {
  readonly mode: Mode;
  readonly map: 'mem' | 'dev';
  readonly size: number;
  readonly align: number;
  /** 0 or UINT_MAX: whatever there is. */
  readonly sectorSize: number;
  readonly uuid: string;
  readonly name: string;
}

/** EAGAIN: this region will not do, another may. */
export type Refusal = ErrnoName;

const PAGE = 4096;
const LEAST_HOSTED = 16 * MIB;
const NAME_LIMIT = 63;

/** Complete the request for a new namespace (`ns` undefined) or for one that is made anew. Returns the plan, or an errno. */
export function planNamespace(ctx: NdctlContext, request: CreateRequest, region: Region, ns?: Namespace): NamespacePlan | Refusal {
  if (!isBound(ctx, region.path)) {
    debug(ctx, 'validate_namespace_options:663', `${region.name}: disabled, skipping...`);
    ctx.explain({
      rule: `${region.name} is disabled`,
      nearest: [`ndctl enable-region ${region.name} && ${nstype(ctx, region) === NSTYPE_IO ? anew(ctx, region) : ctx.again()}`],
    });
    return 'EAGAIN';
  }
  const size = chooseSize(ctx, request, region, ns);
  if (typeof size === 'string') return size;
  const name = request.name ?? (ns ? (readAttr(ctx, ns.path, 'alt_name') ?? '') : '');
  if (name.length > NAME_LIMIT) {
    err(ctx, 'validate_namespace_options: alt name overflow');
    return 'EINVAL';
  }
  // Without a mode of its own a namespace keeps the one it has.
  const mode = request.mode ?? (ns && modeOf(ctx, ns)) ?? 'raw';
  const holder = mode === 'fsdax' ? claimSeed(ctx, region, 'pfn') : mode === 'devdax' ? claimSeed(ctx, region, 'dax') : undefined;
  if (mode === 'devdax' && !holder) {
    error(ctx, 'Kernel does not support devdax mode\n');
    return 'ENODEV';
  }
  const align = chooseAlign(ctx, request, region, ns, mode, holder);
  if (typeof align === 'string') return align;
  const refused = checkSize(ctx, { request, region, mode, size, align, defaultSize: request.size === undefined && !ns });
  if (refused) return refused;
  const sectorSize = chooseSectorSize(ctx, request, region, ns, mode);
  if (typeof sectorSize === 'string') return sectorSize;
  if (request.map !== undefined && ns && mode !== 'fsdax' && mode !== 'devdax') {
    err(ctx, `${ns.name}: --map= only valid for fsdax mode namespace`);
    ctx.explain({ rule: `only fsdax and devdax have struct pages to place, ${mode} has none`, nearest: [ctx.again({ map: false })] });
    return 'EINVAL';
  }
  const map = request.map ?? 'dev';
  if (mode === 'fsdax' && !holder && needsPfn(ctx, mode, map, ns)) {
    error(ctx, `operation failed, ${region.name} cannot support requested mode\n`);
    return 'EINVAL';
  }
  return { mode, map, size, align, sectorSize, name, uuid: request.uuid ?? ctx.uuid() };
}

/** fsdax without an info block is what the kernel gives by itself where it maps all of a namespace; else a pfn device has to hold it. */
export function needsPfn(ctx: NdctlContext, mode: Mode, map: 'mem' | 'dev', ns: Namespace | undefined): boolean {
  return mode === 'fsdax' && (!ns || modeOf(ctx, ns) !== 'fsdax' || map === 'dev');
}

function chooseSize(ctx: NdctlContext, request: CreateRequest, region: Region, ns: Namespace | undefined): number | Refusal {
  const isIo = nstype(ctx, region) === NSTYPE_IO;
  const regionSize = readNumber(ctx, region.path, 'size') ?? 0;
  let size = request.size?.bytes ?? (ns ? sizeOf(ctx, ns) : 0);
  if (!ns) {
    const available = isIo ? regionSize : maxAvailableExtent(ctx, region);
    if (available === 0 || size > available) {
      debug(ctx, 'validate_available_capacity:623', `${region.name}: insufficient capacity size: ${size.toString(16)} avail: ${available.toString(16)}`);
      ctx.explain({
        rule: `${region.name} has no ${size === 0 ? 'room left' : `free run of ${size} bytes`}: the largest is ${available}`,
        nearest: [available > 0 ? ctx.again({ size: String(available) }) : anew(ctx, region)],
      });
      return 'EAGAIN';
    }
    if (size === 0) size = available;
  }
  if (isIo && size !== regionSize) {
    error(ctx, 'Legacy / label-less namespaces do not support sub-dividing a region\n');
    error(ctx, 'Retry without -s/--size=\n');
    ctx.explain({
      rule: `${region.name} has no labels, so its one namespace spans all of its ${regionSize} bytes`,
      nearest: [ctx.again({ size: false }), ...withLabels(ctx, region)],
    });
    return 'EINVAL';
  }
  return size;
}

function chooseAlign(
  ctx: NdctlContext,
  { align }: CreateRequest,
  region: Region,
  ns: Namespace | undefined,
  mode: Mode,
  holder: Claim | undefined,
): number | Refusal {
  if (!align) return defaultAlign(ctx, region, ns, mode, holder);
  if (!holder) {
    error(ctx, mode === 'fsdax' ? 'Kernel does not support setting an alignment in fsdax mode\n' : `${mode} mode does not support setting an alignment\n`);
    ctx.explain({ rule: `only fsdax and devdax map pages, so ${mode} has no alignment to set`, nearest: [ctx.again({ align: false })] });
    return mode === 'fsdax' ? 'EINVAL' : 'ENXIO';
  }
  const supported = supportedAlignments(ctx, holder);
  if (supported.includes(align.bytes)) return align.bytes;
  error(ctx, `unsupported align: ${align.word}\n`);
  ctx.explain({ rule: `this kernel maps pages of ${supported.join(', ')} bytes`, nearest: [ctx.again({ align: String(nearest(supported, align.bytes)) })] });
  return 'ENXIO';
}

function nearest(numbers: readonly number[], wanted: number): number | undefined {
  return [...numbers].sort((a, b) => Math.abs(Math.log(a / wanted)) - Math.abs(Math.log(b / wanted)))[0];
}

/** That of the namespace if it keeps its mode, else that of the seed, which remembers what the last try left there. */
function defaultAlign(ctx: NdctlContext, region: Region, ns: Namespace | undefined, mode: Mode, seed: Claim | undefined): number {
  const current = ns && mode === modeOf(ctx, ns) ? holderOf(ctx, ns) : undefined;
  const from = ns && mode === modeOf(ctx, ns) ? (current && current.kind !== 'btt' ? current : undefined) : seed;
  const align = (from && readNumber(ctx, from.path, 'align')) ?? PAGE;
  const start = readNumber(ctx, region.path, 'resource');
  if (start === undefined || start % align === 0) return align;
  debug(ctx, 'validate_namespace_options:834', `${region.name}: falling back to a page alignment`);
  return PAGE;
}

interface SizeCheck {
  readonly request: CreateRequest;
  readonly region: Region;
  readonly mode: Mode;
  readonly size: number;
  readonly align: number;
  readonly defaultSize: boolean;
}

function checkSize(ctx: NdctlContext, { request, region, mode, size, align, defaultSize }: SizeCheck): Refusal | undefined {
  const regionAlign = readNumber(ctx, region.path, 'align');
  if (regionAlign !== undefined && size % regionAlign !== 0) {
    err(ctx, `${region.name}: align setting is 0x${regionAlign.toString(16)} size 0x${size.toString(16)} is misaligned`);
    ctx.explain({
      rule: `sizes in ${region.name} are multiples of its align, ${regionAlign} bytes; ${size} is not`,
      ...nearestSize(ctx, region, size, regionAlign, () => [finerRegion(ctx, region, size), ...otherBoot(ctx, region, roundUp(size, regionAlign))]),
    });
    return 'EINVAL';
  }
  const ways = interleaveWays(ctx, region);
  if (size % (align * ways) !== 0) {
    const unit = request.size?.unit ?? 1;
    const step = Math.max(unit, align) * ways;
    const suggested = roundDown(size, step) + step;
    err(
      ctx,
      `'--size=' must align to interleave-width: ${ways} and alignment: ${align}\ndid you intend --size=${suggested / unit}${UNIT_LETTERS[unit] ?? ''}?`,
    );
    ctx.explain({
      rule: `a namespace whose pages are ${align} bytes, over ${ways} DIMM${ways === 1 ? '' : 's'}, has a multiple of ${align * ways} bytes`,
      ...nearestSize(ctx, region, size, step, () => [
        ...smallerPages(ctx, region, { mode, size, align, ways }),
        ...otherBoot(ctx, region, roundUp(size, step)),
      ]),
    });
    return 'EINVAL';
  }
  if (size >= LEAST_HOSTED || mode === 'raw') return undefined;
  ctx.explain({
    rule: `${mode} keeps its own records in the namespace, and the kernel lets nothing hold one below 16 MiB`,
    nearest: [ctx.again({ mode: 'raw' }), ...atLeast(ctx, region, mode === 'sector' ? 2 * LEAST_HOSTED : LEAST_HOSTED)],
  });
  if (defaultSize) {
    debug(ctx, 'validate_namespace_options:885', `${region.name}: insufficient capacity for mode: ${mode}`);
    return 'EAGAIN';
  }
  error(ctx, `'--size=' must be >= 16MiB for '${mode}' mode\n`);
  return 'EINVAL';
}

const UNIT_LETTERS: Readonly<Record<number, string>> = { [2 ** 10]: 'K', [2 ** 20]: 'M', [2 ** 30]: 'G', [2 ** 40]: 'T' };

/** The next size up that fits, else the next one down; something else where the size is not for the user to choose. */
function nearestSize(ctx: NdctlContext, region: Region, size: number, step: number, otherwise: () => string[]): { nearest: string[] } {
  const up = roundUp(size, step);
  const fitting = up <= maxAvailableExtent(ctx, region) ? up : roundDown(size, step);
  const isForUser = nstype(ctx, region) !== NSTYPE_IO && fitting > 0;
  return { nearest: isForUser ? [ctx.again({ size: String(fitting) })] : otherwise() };
}

/** A larger namespace, where there is room or another boot gives it. */
function atLeast(ctx: NdctlContext, region: Region, bytes: number): string[] {
  if (nstype(ctx, region) === NSTYPE_IO) return otherBoot(ctx, region, bytes);
  return bytes <= maxAvailableExtent(ctx, region) ? [ctx.again({ size: String(bytes) })] : [];
}

function otherBoot(ctx: NdctlContext, region: Region, sizeBytes: number): string[] {
  const advice = bootAdvice(ctx.root, region.name, { sizeBytes });
  return advice === undefined ? [] : [advice];
}

/** The same for the first namespace that there is, which loses what it holds. */
function anew(ctx: NdctlContext, region: Region): string {
  const first = namespaces(ctx, region).find((ns) => sizeOf(ctx, ns) > 0);
  return ctx.again({ reconfig: first?.name ?? `namespace${region.id}.0`, force: true, size: false });
}

/** The same once the DIMMs have labels, which is a new start for all that they hold. */
function withLabels(ctx: NdctlContext, region: Region): string[] {
  const dimms = listDimmsInRegion(ctx, region);
  if (dimms.length === 0 || !dimms.every((dimm) => hasLabelCommands(ctx, dimm))) return [];
  const names = dimms.map(({ name }) => name).join(' ');
  const create = ctx.again({ reconfig: false, force: false });
  return [`ndctl disable-region ${region.name} && ndctl init-labels -f ${names} && ndctl enable-region ${region.name} && ${create}`];
}

/** The largest pages that divide what there is. */
function smallerPages(ctx: NdctlContext, region: Region, { mode, size, align, ways }: Pick<SizeCheck, 'mode' | 'size' | 'align'> & { ways: number }): string[] {
  const seed = claimSeed(ctx, region, mode === 'devdax' ? 'dax' : 'pfn');
  const fitting = (seed ? supportedAlignments(ctx, seed) : []).filter((pages) => pages < align && size % (pages * ways) === 0);
  return fitting.length === 0 ? [] : [ctx.again({ align: String(Math.max(...fitting)) })];
}

/** A region's own alignment is the administrator's to lower; how far, its size tells. */
function finerRegion(ctx: NdctlContext, region: Region, size: number): string {
  const ways = interleaveWays(ctx, region);
  let align = 16 * MIB;
  while (size % (align * ways) !== 0 && align > PAGE) align /= 2;
  return `echo ${align * ways} > /sys/bus/nd/devices/${region.name}/align && ${ctx.again()}`;
}

function chooseSectorSize(ctx: NdctlContext, request: CreateRequest, region: Region, ns: Namespace | undefined, mode: Mode): number | Refusal {
  const asked = request.sectorSize;
  if (asked !== undefined) {
    const btt = mode === 'sector' ? claimSeed(ctx, region, 'btt') : undefined;
    if (mode === 'sector' && !btt) {
      err(ctx, `${region.name}: does not support 'sector' mode`);
      return 'EINVAL';
    }
    const target = ns ?? namespaceSeed(ctx, region);
    if (!btt && !target) {
      err(ctx, `${region.name}: failed to get seed`);
      return 'ENXIO';
    }
    const { supported } = btt ? sectorSizes(ctx, btt) : namespaceSectorSizes(ctx, target!);
    if (supported.includes(asked)) return asked;
    err(ctx, `${region.name}: does not support ${btt ? 'btt' : 'namespace'} sector_size ${asked}`);
    ctx.explain({
      rule: `${mode} namespaces of ${region.name} have sectors of ${supported.join(', ') || 'their driver\'s choice'}`,
      nearest: [ctx.again({ 'sector-size': supported.length > 0 && String(nearest(supported, asked)) })],
    });
    return 'EINVAL';
  }
  if (ns) {
    const holder = holderOf(ctx, ns);
    return holder?.kind === 'btt' && mode === 'sector' ? sectorSizes(ctx, holder).selected : namespaceSectorSizes(ctx, ns).selected;
  }
  const target = namespaceSeed(ctx, region);
  if (!target) {
    err(ctx, `${region.name}: failed to get seed`);
    return 'ENXIO';
  }
  return namespaceSectorSizes(ctx, target).supported.length === 0 ? UINT_MAX : 512;
}
