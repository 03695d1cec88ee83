/**
 * Binding a device to a driver, taking it off, and carving it: what daxctl does by writing to sysfs.
 * Mirrors ndctl's daxctl/lib/libdaxctl.c: daxctl_dev_enable, daxctl_dev_disable, daxctl_dev_set_size, daxctl_dev_set_align, daxctl_dev_set_mapping.
 */
import type { ErrnoName, KernelError } from '@holdfast/lib';
import { dirAt } from '../../facts/sysfs.js';
import { type DaxctlContext, type Outcome, dbg, explained, libraryError, writeAttr } from './context.js';
import { kmemAdvice } from './kmem-advice.js';
import { type DaxDevice, type DaxRegion, driverOf, numberAt } from './topology.js';

export type DaxDriverName = 'device_dax' | 'kmem';

/** Bind a device without driver to this one; one that has a driver is left as it is. */
export function enable(ctx: DaxctlContext, device: DaxDevice, driver: DaxDriverName): Outcome {
  if (driverOf(ctx, device) !== undefined) return 'done';
  const { name } = device;
  dbg(ctx, 'daxctl_insert_kmod_for_mode', `${name} inserting module: ${driver}`);
  const refused = bind(ctx, name, driver);
  if (driverOf(ctx, device) === undefined) {
    if (refused) dbg(ctx, 'daxctl_bind', `${name}: bind failed`);
    libraryError(ctx, 'daxctl_dev_enable', `${name}: failed to enable`);
    if (!refused) return 'ENXIO';
    const advice = driver === 'kmem' ? kmemAdvice(ctx, device) : [];
    if (advice.length === 0) return explained(ctx, refused);
    ctx.explain({ rule: refused.message, nearest: advice });
    return refused.code;
  }
  dbg(ctx, 'daxctl_dev_enable', `${name}: enabled`);
  return 'done';
}

/** The new id binds by itself, so that an error of `bind` may mean success: the caller looks whether it is bound. */
function bind(ctx: DaxctlContext, name: string, driver: DaxDriverName): KernelError | undefined {
  const folder = `/sys/bus/dax/drivers/${driver}`;
  if (!dirAt(ctx.root, folder)) return undefined;
  writeAttr(ctx, `${folder}/new_id`, name, { quiet: true });
  return writeAttr(ctx, `${folder}/bind`, name, { quiet: true });
}

/** Take a device off its driver, if it has one. */
export function disable(ctx: DaxctlContext, device: DaxDevice): Outcome {
  const { name, path } = device;
  if (driverOf(ctx, device) === undefined) return 'done';
  if (!writeAttr(ctx, `${path}/driver/remove_id`, name)) writeAttr(ctx, `${path}/driver/unbind`, name);
  if (driverOf(ctx, device) !== undefined) {
    libraryError(ctx, 'daxctl_dev_disable', `${name}: failed to disable`);
    return 'EBUSY';
  }
  dbg(ctx, 'daxctl_dev_disable', `${name}: disabled`);
  return 'done';
}

export function setSize(ctx: DaxctlContext, device: DaxDevice, bytes: number): Outcome {
  return set(ctx, device, 'size', cHex(bytes));
}

export function setAlign(ctx: DaxctlContext, device: DaxDevice, bytes: number): Outcome {
  return set(ctx, device, 'align', cHex(bytes));
}

/** @param end inclusive */
export function setMapping(ctx: DaxctlContext, device: DaxDevice, start: number, end: number): Outcome {
  return set(ctx, device, 'mapping', `${cHex(start)}-${cHex(end)}`);
}

/** Whatever the kernel says, the library says ENXIO. */
function set(ctx: DaxctlContext, { name, path }: DaxDevice, attribute: 'size' | 'align' | 'mapping', text: string): Outcome {
  const refused = writeAttr(ctx, `${path}/${attribute}`, `${text}\n`);
  if (!refused) return 'done';
  const size = attribute === 'align' ? { size: String(numberAt(ctx, `${path}/size`) ?? 0) } : {};
  explained(ctx, refused, attribute === 'mapping' ? undefined : attribute, size);
  libraryError(ctx, `daxctl_dev_set_${attribute}`, `${name}: failed to set ${attribute}`);
  return 'ENXIO';
}

/** `%#llx`. */
function cHex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

/** Ask a region for one more device. */
export function createDevice(ctx: DaxctlContext, region: DaxRegion): ErrnoName | undefined {
  return carve(ctx, region, 'create', '1');
}

export function deleteDevice(ctx: DaxctlContext, { region, name }: DaxDevice): ErrnoName | undefined {
  return carve(ctx, region, 'delete', name);
}

function carve(ctx: DaxctlContext, { path }: DaxRegion, file: 'create' | 'delete', text: string): ErrnoName | undefined {
  const refused = writeAttr(ctx, `${path}/dax_region/${file}`, text);
  return refused && explained(ctx, refused);
}
