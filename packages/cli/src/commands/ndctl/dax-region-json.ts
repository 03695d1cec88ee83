/**
 * The device-dax side of a namespace, as `ndctl list -X` shows it: what daxctl shows, without the region's path, and with -v what
 * libdaxctl tells when it first looks.
 */
import { resolvePath } from '@holdfast/kernel';
import { dirAt } from '../../facts/sysfs.js';
import { deviceJson, regionJson } from '../daxctl/device-json.js';
import { memoryOf, onlineBlocks } from '../daxctl/memory.js';
import { DAX_DEVICES, type DaxDevice, type DaxRegion, attribute } from '../daxctl/topology.js';
import { type NdctlContext, dbg } from './context.js';
import type { JsonObject } from './json-text.js';
import { inReaddirOrder } from './name-hash.js';
import type { Claim } from './topology.js';

/** The devices of a namespace's dax region, in the order of libdaxctl's lists. */
export function daxDevices(ctx: NdctlContext, dax: Claim): DaxDevice[] {
  newRegion(ctx, dax);
  const names = inReaddirOrder(dirAt(ctx.root, dax.path)?.list() ?? []).filter((name) => new RegExp(`^dax${dax.region.id}\\.\\d+$`).test(name));
  for (const name of names) say(ctx, 'add_dax_dev', `base: '${dax.path}/${name}'`);
  return names.reverse().map((name) => ({ region: regionOf(dax), id: Number(name.split('.')[1]), name, path: `${dax.path}/${name}` }));
}

function regionOf({ region, path }: Claim): DaxRegion {
  return { id: region.id, path };
}

/** libdaxctl first takes stock of all dax devices of the system, and then adds the region that it is asked for. */
function newRegion(ctx: NdctlContext, dax: Claim): void {
  if (ctx.daxRegions.has(dax.path)) return;
  const add = (path: string): void => say(ctx, 'add_dax_region', `'${path}'`);
  add(dax.path);
  if (ctx.daxRegions.size === 0) {
    dbg(ctx, '__dax_regions_init', 'no dax regions found via: /sys/class/dax', 'libdaxctl');
    for (const name of inReaddirOrder(dirAt(ctx.root, DAX_DEVICES)?.list() ?? [])) {
      const { path } = resolvePath(ctx.root, `${DAX_DEVICES}/${name}`);
      add(path.slice(0, path.lastIndexOf('/')));
    }
  }
  ctx.daxRegions.add(dax.path);
  say(ctx, 'daxctl_new_region', dax.name);
}

function say(ctx: NdctlContext, from: string, text: string): void {
  dbg(ctx, from, `${from}: ${text}`, 'libdaxctl');
}

/** The region, with those of its devices that have memory unless they are left out. */
export function daxRegionJson(ctx: NdctlContext, dax: Claim, { human = false, devices = true } = {}): JsonObject {
  const list = devices ? daxDevices(ctx, dax).filter((device) => attribute(ctx, device, 'size') > 0) : [];
  const shown = regionJson(ctx, regionOf(dax), list.map((device) => deviceJson(ctx, device, { human })), human);
  return Object.fromEntries(Object.entries(shown).filter(([name]) => name !== 'path'));
}

/** Any RAM of it in use: then the namespace cannot be taken away. */
export function hasOnlineMemory(ctx: NdctlContext, device: DaxDevice): boolean {
  const memory = memoryOf(ctx, device);
  return memory !== undefined && onlineBlocks(ctx, memory).length > 0;
}
