/**
 * A namespace as JSON: what `ndctl list -N` and `create-namespace` print. Mirrors ndctl's ndctl/json.c: util_namespace_to_json.
 */
import { type BadBlock, badBlocksJson, badBlocksOf, badBlocksWithin, countBlocks, namespaceBadBlocks } from './bad-blocks.js';
import type { NdctlContext } from './context.js';
import { daxDevices, daxRegionJson } from './dax-region-json.js';
import type { Json, JsonObject } from './json-text.js';
import { humanSize } from './size.js';
import { readAttr, readNumber } from './sysfs-access.js';
import {
  type Claim, type Mode, type Namespace, NSTYPE_IO, UINT_MAX,
  blockDevice, hasUuid, holderOf, isActive, modeOf, namespaceSectorSizes, nstype, sectorSizes, sizeOf, uuidOf,
} from './topology.js';

/** What of a device is shown (ndctl's UTIL_JSON_* flags). */
export interface JsonFlags {
  readonly human?: boolean;
  readonly verbose?: boolean;
  /** With the dax region and its devices. */
  readonly dax?: boolean;
  readonly mediaErrors?: boolean;
  readonly capabilities?: boolean;
}

/** Undefined where the kernel's words contradict each other, as ndctl then prints nothing. */
export function namespaceJson(ctx: NdctlContext, ns: Namespace, flags: JsonFlags = {}): JsonObject | undefined {
  const holder = holderOf(ctx, ns);
  const mode = modeOf(ctx, ns);
  if ((mode === 'devdax' && holder?.kind !== 'dax') || (mode === 'sector' && holder?.kind !== 'btt')) return undefined;
  const size = usableSize(ctx, ns, mode, holder);
  const sector = sectorSize(ctx, ns, holder);
  const align = holder && holder.kind !== 'btt' ? (readNumber(ctx, holder.path, 'align') ?? 0) : 0;
  const disk = holder?.kind === 'dax' ? '' : blockDevice(ctx, holder ?? ns);
  const altName = readAttr(ctx, ns.path, 'alt_name') ?? '';
  return {
    dev: ns.name,
    ...(mode ? { mode } : {}),
    ...(mode === 'raw' || mode === 'sector' ? {} : { map: mode === undefined ? 'none' : mapOf(ctx, holder) }),
    ...(size === undefined ? {} : { size: flags.human ? humanSize(size) : size }),
    ...identity(ctx, ns, holder, flags),
    ...(sector === undefined ? {} : { sector_size: sector }),
    ...(align ? { align } : {}),
    ...(disk ? { blockdev: disk } : {}),
    ...(isActive(ctx, ns) ? {} : { state: 'disabled' }),
    ...(altName ? { name: altName } : {}),
    ...(flags.verbose ? nodesJson(ctx, ns.path) : {}),
    ...mediaErrors(ctx, ns, holder, flags),
  };
}

/** NUMA nodes, where they are known. */
export function nodesJson(ctx: NdctlContext, path: string): JsonObject {
  const node = (name: string): JsonObject => {
    const value = readNumber(ctx, path, name) ?? -1;
    return value >= 0 ? { [name]: value } : {};
  };
  return { ...node('numa_node'), ...node('target_node') };
}

/** Bytes for the user: what its holder leaves. */
function usableSize(ctx: NdctlContext, ns: Namespace, mode: Mode | undefined, holder: Claim | undefined): number | undefined {
  if (mode === undefined) return undefined;
  return mode === 'raw' || !holder ? sizeOf(ctx, ns) : readNumber(ctx, holder.path, 'size');
}

/** Where the struct pages are. */
function mapOf(ctx: NdctlContext, holder: Claim | undefined): string {
  const place = holder && readAttr(ctx, holder.path, 'mode');
  return place === undefined || place === 'ram' ? 'mem' : place === 'pmem' ? 'dev' : 'none';
}

/** UUIDs: of what holds it, and with -v its own; with the dax region where there is one. */
function identity(ctx: NdctlContext, ns: Namespace, holder: Claim | undefined, flags: JsonFlags): JsonObject {
  if (!holder) return nstype(ctx, ns) === NSTYPE_IO ? {} : { uuid: uuidOf(ctx, ns) };
  const raw: JsonObject = flags.verbose && hasUuid(ctx, ns) ? { raw_uuid: uuidOf(ctx, ns) } : {};
  return { uuid: uuidOf(ctx, holder), ...raw, ...(holder.kind === 'dax' ? daxJson(ctx, holder, flags) : {}) };
}

function daxJson(ctx: NdctlContext, dax: Claim, { dax: whole = false, human = false }: JsonFlags): JsonObject {
  if (whole) return { daxregion: daxRegionJson(ctx, dax, { human }) };
  const first = daxDevices(ctx, dax)[0];
  return first ? { chardev: first.name } : {};
}

function sectorSize(ctx: NdctlContext, ns: Namespace, holder: Claim | undefined): number | undefined {
  if (holder?.kind === 'dax') return undefined;
  if (holder?.kind === 'btt') {
    const { selected } = sectorSizes(ctx, holder);
    return selected === UINT_MAX ? undefined : selected;
  }
  const { selected } = namespaceSectorSizes(ctx, ns);
  return selected === 0 || selected === UINT_MAX ? 512 : selected;
}

function mediaErrors(ctx: NdctlContext, ns: Namespace, holder: Claim | undefined, flags: JsonFlags): JsonObject {
  const within = (path: string): BadBlock[] => {
    const [begin, size] = [readNumber(ctx, path, 'resource'), readNumber(ctx, path, 'size')];
    return begin === undefined || size === undefined ? [] : badBlocksWithin(ctx, ns.region, begin, size);
  };
  let blocks: BadBlock[];
  if (holder) {
    blocks = within(holder.kind === 'btt' ? ns.path : holder.path);
  } else {
    blocks = badBlocksOf(ctx, ns.region.path);
    if (blocks.length === 0 && flags.mediaErrors) blocks = namespaceBadBlocks(ctx, ns);
  }
  if (blocks.length === 0) return {};
  const listed: Json | undefined = flags.mediaErrors && holder?.kind !== 'btt' ? badBlocksJson(ctx, ns.region, blocks) : undefined;
  return { badblock_count: countBlocks(blocks), ...(listed ? { badblocks: listed } : {}) };
}
