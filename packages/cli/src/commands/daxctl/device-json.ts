/** Devices and regions as JSON. Mirrors ndctl's daxctl/json.c: util_daxctl_dev_to_json, util_daxctl_region_to_json. */
import type { Json, JsonObject } from '../ndctl/json-text.js';
import { humanHex, humanSize } from '../ndctl/size.js';
import type { DaxctlContext } from './context.js';
import { isMovable, memoryOf, onlineBlocks } from './memory.js';
import { type DaxDevice, type DaxMapping, type DaxRegion, attribute, devicePasses, devices, driverOf, mappings, numberAt, targetNode } from './topology.js';

export interface JsonOptions {
  /** Sizes and addresses for people. */
  readonly human?: boolean;
  /** Add each device's mappings. */
  readonly mappings?: boolean;
  /** List devices without memory, too. */
  readonly idle?: boolean;
}

export function deviceJson(ctx: DaxctlContext, device: DaxDevice, { human = false, mappings: withMappings = false }: JsonOptions = {}): JsonObject {
  const align = attribute(ctx, device, 'align');
  const node = targetNode(ctx, device);
  const ranges = withMappings ? mappings(ctx, device) : [];
  return {
    chardev: device.name,
    size: sizeJson(attribute(ctx, device, 'size'), human),
    ...(node >= 0 ? { target_node: node } : {}),
    ...(align > 0 ? { align: sizeJson(align, human) } : {}),
    ...memoryJson(ctx, device),
    ...(driverOf(ctx, device) === undefined ? { state: 'disabled' } : {}),
    ...(ranges.length > 0 ? { mappings: ranges.map((range) => mappingJson(range, human)) } : {}),
  };
}

function memoryJson(ctx: DaxctlContext, device: DaxDevice): JsonObject {
  const memory = memoryOf(ctx, device);
  if (!memory) return { mode: 'devdax' };
  if (attribute(ctx, device, 'resource') === 0) return { mode: 'system-ram' };
  const movable = isMovable(ctx, memory);
  return {
    mode: 'system-ram',
    online_memblocks: onlineBlocks(ctx, memory).length,
    total_memblocks: memory.blocks.length,
    ...(movable === undefined ? {} : { movable }),
  };
}

function mappingJson({ pageOffset, start, end }: DaxMapping, human: boolean): JsonObject {
  const address = (value: number): Json => (human ? humanHex(value) : value);
  return { page_offset: address(pageOffset), start: address(start), end: address(end), size: sizeJson(end - start + 1, human) };
}

/** The devices of a region that pass, and have memory unless idle ones are asked for. */
export function devicesJson(ctx: DaxctlContext, region: DaxRegion, wanted: string | undefined, options: JsonOptions): JsonObject[] {
  return devices(ctx, region)
    .filter((device) => devicePasses(device, wanted) && (options.idle || attribute(ctx, device, 'size') > 0))
    .map((device) => deviceJson(ctx, device, options));
}

/** `list` undefined leaves the devices out. */
export function regionJson(ctx: DaxctlContext, region: DaxRegion, list: readonly JsonObject[] | undefined, human: boolean): JsonObject {
  const [size, available, align] = ['size', 'available_size', 'align'].map((name) => numberAt(ctx, `${region.path}/dax_region/${name}`));
  return {
    path: region.path.replace(/^\/sys\/devices/, ''),
    id: region.id,
    ...(size === undefined ? {} : { size: sizeJson(size, human) }),
    ...(available ? { available_size: sizeJson(available, human) } : {}),
    ...(align === undefined ? {} : { align }),
    ...(list && list.length > 0 ? { devices: list } : {}),
  };
}

function sizeJson(bytes: number, human: boolean): Json {
  return human ? humanSize(bytes) : bytes;
}
