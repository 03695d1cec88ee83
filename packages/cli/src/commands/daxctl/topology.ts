/**
 * Dax regions and their devices as libdaxctl finds them in sysfs. Mirrors ndctl's daxctl/lib/libdaxctl.c: __dax_regions_init,
 * dax_devices_init, mappings_init, with nothing kept: each question reads sysfs again.
 */
import { resolvePath } from '@holdfast/kernel';
import { dirAt, nodeAt, textAt } from '../../facts/sysfs.js';
import { inReaddirOrder } from '../ndctl/name-hash.js';
import { type DaxctlContext, dbg } from './context.js';

export interface DaxRegion {
  /** R of its devices' names. */
  readonly id: number;
  /** The providing device, below /sys/devices. */
  readonly path: string;
}

export interface DaxDevice {
  readonly region: DaxRegion;
  readonly id: number;
  /** `daxR.N`. */
  readonly name: string;
  readonly path: string;
}

export interface DaxMapping {
  readonly pageOffset: number;
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

export const DAX_DEVICES = '/sys/bus/dax/devices';

/** All regions. The library puts each before those it found earlier, and so do its lists of devices and mappings. */
export function regions(ctx: DaxctlContext): DaxRegion[] {
  dbg(ctx, '__dax_regions_init', 'no dax regions found via: /sys/class/dax');
  const found = new Map<string, DaxRegion>();
  for (const name of inReaddirOrder(dirAt(ctx.root, DAX_DEVICES)?.list() ?? [])) {
    const id = /^dax(\d+)\.\d+$/.exec(name)?.[1];
    if (id === undefined) continue;
    const { path } = resolvePath(ctx.root, `${DAX_DEVICES}/${name}`);
    const provider = path.slice(0, path.lastIndexOf('/'));
    dbg(ctx, 'add_dax_region', `add_dax_region: '${provider}'`);
    found.set(provider, found.get(provider) ?? { id: Number(id), path: provider });
  }
  return [...found.values()].reverse();
}

export function devices(ctx: DaxctlContext, region: DaxRegion): DaxDevice[] {
  const found: DaxDevice[] = [];
  for (const name of inReaddirOrder(dirAt(ctx.root, region.path)?.list() ?? [])) {
    const [, regionId, id] = /^dax(\d+)\.(\d+)$/.exec(name) ?? [];
    if (Number(regionId) !== region.id) continue;
    const path = `${region.path}/${name}`;
    dbg(ctx, 'add_dax_dev', `add_dax_dev: base: '${path}'`);
    found.push({ region, id: Number(id), name, path });
  }
  return found.reverse();
}

/** What `mappingN` folders say, the last first. */
export function mappings(ctx: DaxctlContext, device: DaxDevice): DaxMapping[] {
  const found: DaxMapping[] = [];
  for (;;) {
    const folder = `${device.path}/mapping${found.length}`;
    const [start, end, pageOffset] = ['start', 'end', 'page_offset'].map((name) => numberAt(ctx, `${folder}/${name}`));
    if (start === undefined || end === undefined || pageOffset === undefined) return found.reverse();
    found.push({ start, end, pageOffset });
  }
}

/** A number in C's notation; undefined if there is none to be read. */
export function numberAt({ root }: DaxctlContext, path: string): number | undefined {
  const text = textAt(root, path)?.trim();
  return text === undefined || text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/** Attributes of a device that is a number; 0 for one that is not there. */
export function attribute(ctx: DaxctlContext, { path }: DaxDevice, name: 'size' | 'align' | 'resource'): number {
  return numberAt(ctx, `${path}/${name}`) ?? 0;
}

/** -1 if the device has none. */
export function targetNode(ctx: DaxctlContext, { path }: DaxDevice): number {
  return numberAt(ctx, `${path}/target_node`) ?? -1;
}

/** The driver that holds a device. */
export function driverOf({ root }: DaxctlContext, { path }: DaxDevice): string | undefined {
  const link = nodeAt(root, `${path}/driver`, { follow: false });
  return link?.kind === 'link' ? link.target.split('/').at(-1) : undefined;
}

/** The device that the next `create` makes ready, if there is one. */
export function seedOf(ctx: DaxctlContext, region: DaxRegion): DaxDevice | undefined {
  const seed = textAt(ctx.root, `${region.path}/dax_region/seed`);
  return devices(ctx, region).find(({ name }) => name === seed);
}

/** `all`, `0`, `region0`; nothing wanted passes all. */
export function regionPasses({ id }: DaxRegion, wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === 'all') return true;
  return Number(/^\s*([+-]?\d+)/.exec(wanted)?.[1] ?? /^region([+-]?\d+)/.exec(wanted)?.[1] ?? NaN) === id;
}

/** `all`, `dax0.1`, `0.1`; nothing wanted passes all. */
export function devicePasses({ id, name, region }: DaxDevice, wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === 'all' || wanted === name) return true;
  const [, regionId, deviceId] = /^\s*([+-]?\d+)\.([+-]?\d+)/.exec(wanted) ?? [];
  return Number(regionId) === region.id && Number(deviceId) === id;
}
