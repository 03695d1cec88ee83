/**
 * What a namespace is going to be: the request, completed by what the region and the namespace are, or the first rule that it breaks.
 * Mirrors ndctl's ndctl/namespace.c: validate_namespace_options, whose order of checks decides which message a user sees.
 */
import { MIB, roundDown, roundUp } from '@holdfast/lib';
import { type ErrnoName } from '@holdfast/lib';
import { type NdctlContext, debug, err, error } from './context.js';
import type { CreateRequest } from './namespace-options.js';
import { readNumber } from './sysfs-access.js';
import {
  type Claim, type Mode, type Namespace, type Region, NSTYPE_IO, UINT_MAX,
  claimSeed, holderOf, interleaveWays, maxAvailableExtent, modeOf, namespaceSectorSizes, namespaceSeed, nstype, sectorSizes, sizeOf, supportedAlignments,
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
    ctx.explain({ rule: `${region.name} is disabled`, nearest: `ndctl enable-region ${region.name}` });
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
        ...(available > 0 ? { nearest: `--size=${available}` } : {}),
      });
      return 'EAGAIN';
    }
    if (size === 0) size = available;
  }
  if (isIo && size !== regionSize) {
    error(ctx, 'Legacy / label-less namespaces do not support sub-dividing a region\n');
    error(ctx, 'Retry without -s/--size=\n');
    ctx.explain({ rule: `${region.name} has no labels, so its one namespace spans all of its ${regionSize} bytes`, nearest: 'the same command without --size' });
    return 'EINVAL';
  }
  return size;
}

function chooseAlign(ctx: NdctlContext, { align }: CreateRequest, region: Region, ns: Namespace | undefined, mode: Mode, holder: Claim | undefined): number | Refusal {
  if (!align) return defaultAlign(ctx, region, ns, mode, holder);
  if (!holder) {
    error(ctx, mode === 'fsdax' ? 'Kernel does not support setting an alignment in fsdax mode\n' : `${mode} mode does not support setting an alignment\n`);
    ctx.explain({ rule: `only fsdax and devdax map pages, so ${mode} has no alignment to set`, nearest: 'the same command without --align' });
    return mode === 'fsdax' ? 'EINVAL' : 'ENXIO';
  }
  const supported = supportedAlignments(ctx, holder);
  if (supported.includes(align.bytes)) return align.bytes;
  error(ctx, `unsupported align: ${align.word}\n`);
  ctx.explain({ rule: `this kernel maps pages of ${supported.join(', ')} bytes`, nearest: `--align=${nearest(supported, align.bytes)}` });
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
    ctx.explain({ rule: `sizes in ${region.name} are multiples of its align, ${regionAlign} bytes; ${size} is not`, ...nearestSize(ctx, request, region, size, regionAlign) });
    return 'EINVAL';
  }
  const ways = interleaveWays(ctx, region);
  if (size % (align * ways) !== 0) {
    const unit = request.size?.unit ?? 1;
    const step = Math.max(unit, align) * ways;
    const suggested = roundDown(size, step) + step;
    err(ctx, `'--size=' must align to interleave-width: ${ways} and alignment: ${align}\ndid you intend --size=${suggested / unit}${UNIT_LETTERS[unit] ?? ''}?`);
    ctx.explain({ rule: `a namespace whose pages are ${align} bytes, over ${ways} DIMM${ways === 1 ? '' : 's'}, has a multiple of ${align * ways} bytes`, ...nearestSize(ctx, request, region, size, step) });
    return 'EINVAL';
  }
  if (size >= LEAST_HOSTED || mode === 'raw') return undefined;
  ctx.explain({ rule: `${mode} keeps its own records in the namespace, and the kernel lets nothing hold one below 16 MiB`, nearest: '--mode=raw, or --size=16M' });
  if (defaultSize) {
    debug(ctx, 'validate_namespace_options:885', `${region.name}: insufficient capacity for mode: ${mode}`);
    return 'EAGAIN';
  }
  error(ctx, `'--size=' must be >= 16MiB for '${mode}' mode\n`);
  return 'EINVAL';
}

const UNIT_LETTERS: Readonly<Record<number, string>> = { [2 ** 10]: 'K', [2 ** 20]: 'M', [2 ** 30]: 'G', [2 ** 40]: 'T' };

/** The next size up that fits, else the next one down; nothing where the size is not for the user to choose. */
function nearestSize(ctx: NdctlContext, { align }: CreateRequest, region: Region, size: number, step: number): { nearest?: string } {
  if (nstype(ctx, region) === NSTYPE_IO) return align ? { nearest: 'a smaller --align' } : {};
  const up = roundUp(size, step);
  const fitting = up <= maxAvailableExtent(ctx, region) ? up : roundDown(size, step);
  if (fitting > 0) return { nearest: `--size=${fitting}` };
  return align ? { nearest: 'a smaller --align' } : {};
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
      nearest: supported.length > 0 ? `--sector-size=${nearest(supported, asked)}` : 'the same command without --sector-size',
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
