/** Buses, DIMMs and regions as JSON. Mirrors ndctl's ndctl/json.c and ndctl/list.c: util_bus_to_json, util_dimm_to_json, region_to_json. */
import { badBlocksJson, badBlocksOf, countBlocks } from './bad-blocks.js';
import type { NdctlContext } from './context.js';
import type { Json, JsonObject } from './json-text.js';
import { type JsonFlags, nodesJson } from './namespace-json.js';
import { humanHex, humanSize } from './size.js';
import { isBound, readAttr, readNumber } from './sysfs-access.js';
import {
  type Dimm, type Mapping, type NdBus, type Region, NSTYPE_IO,
  availableSize, claimSeed, dimmFlags, maxAvailableExtent, nstype, sectorSizes, supportedAlignments,
} from './topology.js';

export function busJson(ctx: NdctlContext, bus: NdBus): JsonObject {
  const scrub = readAttr(ctx, bus.path, 'nfit/scrub');
  return {
    provider: readAttr(ctx, bus.path, 'provider') ?? '',
    dev: bus.name,
    ...(scrub === undefined ? {} : { scrub_state: scrub.endsWith('+') ? 'active' : 'idle' }),
  };
}

const DIMM_FLAGS: readonly (readonly [string, string])[] = [
  ['map_fail', 'flag_failed_map'],
  ['save_fail', 'flag_failed_save'],
  ['not_armed', 'flag_failed_arm'],
  ['restore_fail', 'flag_failed_restore'],
  ['flush_fail', 'flag_failed_flush'],
  ['smart_event', 'flag_smart_event'],
];

export function dimmJson(ctx: NdctlContext, dimm: Dimm, { human = false }: JsonFlags): JsonObject {
  const hex = (value: number): Json => (human ? humanHex(value) : value);
  const id = readAttr(ctx, dimm.path, 'nfit/id');
  const handle = readNumber(ctx, dimm.path, 'nfit/handle');
  const physId = readNumber(ctx, dimm.path, 'nfit/phys_id');
  const flags = dimmFlags(ctx, dimm);
  const security = readAttr(ctx, dimm.path, 'security');
  return {
    dev: dimm.name,
    ...(id === undefined ? {} : { id }),
    ...(handle === undefined ? {} : { handle: hex(handle) }),
    ...(physId === undefined ? {} : { phys_id: hex(physId) }),
    ...(isBound(ctx, dimm.path) ? {} : { state: 'disabled' }),
    ...Object.fromEntries(DIMM_FLAGS.filter(([flag]) => flags.includes(flag)).map(([, name]) => [name, true])),
    ...(security ? { security } : {}),
  };
}

const DOMAINS = ['cpu_cache', 'memory_controller', 'none'];

/** `shown` are the mappings that the filters leave; undefined where DIMMs are not asked for. */
export function regionJson(ctx: NdctlContext, region: Region, flags: JsonFlags, shown: readonly Mapping[]): JsonObject {
  const { human = false } = flags;
  const bytes = (value: number): Json => (human ? humanSize(value) : value);
  const align = readNumber(ctx, region.path, 'align');
  const domain = readAttr(ctx, region.path, 'persistence_domain') ?? '';
  const cookie = nstype(ctx, region) === NSTYPE_IO ? undefined : readAttr(ctx, region.path, 'set_cookie');
  return {
    dev: region.name,
    size: bytes(readNumber(ctx, region.path, 'size') ?? 0),
    ...(align === undefined ? {} : { align: bytes(align) }),
    available_size: bytes(availableSize(ctx, region)),
    max_available_extent: bytes(maxAvailableExtent(ctx, region)),
    type: 'pmem',
    ...(flags.verbose ? nodesJson(ctx, region.path) : {}),
    ...(cookie === undefined ? {} : { iset_id: human ? humanHex(BigInt(cookie)) : BigInt(cookie) }),
    ...(shown.length > 0 ? { mappings: shown.map((mapping) => mappingJson(mapping, human)) } : {}),
    ...(isBound(ctx, region.path) ? {} : { state: 'disabled' }),
    ...mediaErrors(ctx, region, flags),
    ...(flags.capabilities ? capabilities(ctx, region) : {}),
    persistence_domain: DOMAINS.includes(domain) ? domain : 'unknown',
  };
}

function mappingJson({ dimm, offset, length, position }: Mapping, human: boolean): JsonObject {
  const hex = (value: number): Json => (human ? humanHex(value) : value);
  return { dimm, offset: hex(offset), length: hex(length), ...(position === undefined ? {} : { position }) };
}

function mediaErrors(ctx: NdctlContext, region: Region, flags: JsonFlags): JsonObject {
  const blocks = badBlocksOf(ctx, region.path);
  if (blocks.length === 0) return {};
  return { badblock_count: countBlocks(blocks), ...(flags.mediaErrors ? { badblocks: badBlocksJson(ctx, region, blocks) } : {}) };
}

function capabilities(ctx: NdctlContext, region: Region): JsonObject {
  const [btt, pfn, dax] = (['btt', 'pfn', 'dax'] as const).map((kind) => claimSeed(ctx, region, kind));
  if (!btt || !pfn || !dax) return {};
  return {
    capabilities: [
      { mode: 'sector', sector_sizes: sectorSizes(ctx, btt).supported },
      { mode: 'fsdax', alignments: supportedAlignments(ctx, pfn) },
      { mode: 'devdax', alignments: supportedAlignments(ctx, dax) },
    ],
  };
}
