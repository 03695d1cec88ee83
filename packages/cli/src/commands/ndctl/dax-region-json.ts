/**
 * The device-dax side of a namespace, as `ndctl list -X` shows it. Mirrors ndctl's daxctl/json.c: util_daxctl_region_to_json,
 * util_daxctl_dev_to_json, and tells with -v what libdaxctl tells when it first looks.
 */
import { resolvePath } from '@holdfast/kernel';
import { dirAt, nodeAt } from '../../facts/sysfs.js';
import { type NdctlContext, dbg } from './context.js';
import type { Json, JsonObject } from './json-text.js';
import { inReaddirOrder } from './name-hash.js';
import { humanSize } from './size.js';
import { isBound, readAttr, readNumber } from './sysfs-access.js';
import type { Claim } from './topology.js';

export interface DaxDevice {
  readonly name: string;
  readonly path: string;
}

/** The devices of a namespace's dax region, in the order of libdaxctl's lists. */
export function daxDevices(ctx: NdctlContext, dax: Claim): DaxDevice[] {
  newRegion(ctx, dax);
  const names = inReaddirOrder(dirAt(ctx.root, dax.path)?.list() ?? []).filter((name) => new RegExp(`^dax${dax.region.id}\\.\\d+$`).test(name));
  for (const name of names) say(ctx, 'add_dax_dev', `base: '${dax.path}/${name}'`);
  return names.reverse().map((name) => ({ name, path: `${dax.path}/${name}` }));
}

/** libdaxctl first takes stock of all dax devices of the system, and then adds the region that it is asked for. */
function newRegion(ctx: NdctlContext, dax: Claim): void {
  if (ctx.daxRegions.has(dax.path)) return;
  const add = (path: string): void => say(ctx, 'add_dax_region', `'${path}'`);
  add(dax.path);
  if (ctx.daxRegions.size === 0) {
    dbg(ctx, '__dax_regions_init', 'no dax regions found via: /sys/class/dax', 'libdaxctl');
    const folder = '/sys/bus/dax/devices';
    for (const name of inReaddirOrder(dirAt(ctx.root, folder)?.list() ?? [])) {
      const { path } = resolvePath(ctx.root, `${folder}/${name}`);
      add(path.slice(0, path.lastIndexOf('/')));
    }
  }
  ctx.daxRegions.add(dax.path);
  say(ctx, 'daxctl_new_region', dax.name);
}

function say(ctx: NdctlContext, from: string, text: string): void {
  dbg(ctx, from, `${from}: ${text}`, 'libdaxctl');
}

/** The region without its devices has no more than a number. */
export function daxRegionJson(ctx: NdctlContext, dax: Claim, { human = false, devices = true } = {}): JsonObject {
  const folder = `${dax.path}/dax_region`;
  const [size, available, align] = ['size', 'available_size', 'align'].map((name) => readNumber(ctx, folder, name));
  const bytes = (value: number): Json => (human ? humanSize(value) : value);
  const list = devices ? daxDevices(ctx, dax).filter(({ path }) => (readNumber(ctx, path, 'size') ?? 0) > 0) : [];
  return {
    id: dax.region.id,
    ...(size === undefined ? {} : { size: bytes(size) }),
    ...(available ? { available_size: bytes(available) } : {}),
    ...(align === undefined ? {} : { align }),
    ...(list.length > 0 ? { devices: list.map((device) => daxDeviceJson(ctx, device, human)) } : {}),
  };
}

function daxDeviceJson(ctx: NdctlContext, device: DaxDevice, human: boolean): JsonObject {
  const { name, path } = device;
  const size = readNumber(ctx, path, 'size') ?? 0;
  const align = readNumber(ctx, path, 'align') ?? 0;
  const node = readNumber(ctx, path, 'target_node') ?? -1;
  const isRam = driverOf(ctx, path) === 'kmem';
  return {
    chardev: name,
    size: human ? humanSize(size) : size,
    ...(node >= 0 ? { target_node: node } : {}),
    ...(align > 0 ? { align: human ? humanSize(align) : align } : {}),
    mode: isRam ? 'system-ram' : 'devdax',
    ...(isRam ? memoryJson(ctx, device) : {}),
    ...(isBound(ctx, path) ? {} : { state: 'disabled' }),
  };
}

function driverOf({ root }: NdctlContext, path: string): string {
  const link = nodeAt(root, `${path}/driver`, { follow: false });
  return link?.kind === 'link' ? link.target.split('/').at(-1)! : '';
}

/** A memory block of a device in use as RAM. */
export interface MemoryBlock {
  readonly online: boolean;
  /** The zone that it is in or would come into first. */
  readonly zone: string;
}

const MEMORY = '/sys/devices/system/memory';

/** The memory blocks that lie in a device, and are there. */
export function memoryBlocksOf(ctx: NdctlContext, { path }: DaxDevice): MemoryBlock[] {
  const start = readNumber(ctx, path, 'resource');
  const size = readNumber(ctx, path, 'size');
  const blockSize = parseInt(readAttr(ctx, MEMORY, 'block_size_bytes') ?? '', 16);
  if (!start || size === undefined || !(blockSize > 0)) return [];
  const blocks: MemoryBlock[] = [];
  for (let index = Math.ceil(start / blockSize); (index + 1) * blockSize <= start + size; index++) {
    const block = `${MEMORY}/memory${index}`;
    const state = readAttr(ctx, block, 'state');
    if (state !== undefined) blocks.push({ online: state !== 'offline', zone: (readAttr(ctx, block, 'valid_zones') ?? '').split(' ')[0]! });
  }
  return blocks;
}

/** Any RAM of it in use: then the namespace cannot be taken away. */
export function hasOnlineMemory(ctx: NdctlContext, device: DaxDevice): boolean {
  return driverOf(ctx, device.path) === 'kmem' && memoryBlocksOf(ctx, device).some(({ online }) => online);
}

function memoryJson(ctx: NdctlContext, device: DaxDevice): JsonObject {
  if (!readNumber(ctx, device.path, 'resource')) return {};
  const blocks = memoryBlocksOf(ctx, device);
  const online = blocks.filter(({ online }) => online);
  return {
    online_memblocks: online.length,
    total_memblocks: blocks.length,
    ...(online.length > 0 ? { movable: online.every(({ zone }) => zone === 'Movable') } : {}),
  };
}
