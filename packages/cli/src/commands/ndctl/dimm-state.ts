/** DIMMs on and off. Mirrors ndctl's ndctl/lib/libndctl.c: ndctl_dimm_disable, ndctl_dimm_enable, ndctl_dimm_is_active. */
import { type Failure, type NdctlContext, libraryError } from './context.js';
import { bindDevice, isBound, readAttr, unbindDevice } from './sysfs-access.js';
import { type Dimm, buses, dimmsInRegion, regions } from './topology.js';

/** In use by an enabled region. */
export function isDimmActive(ctx: NdctlContext, dimm: Dimm): boolean {
  return readAttr(ctx, dimm.path, 'state') === 'active';
}

/** The kernel goes by a DIMM's labels while a region uses them. */
export function explainActive(ctx: NdctlContext, dimm: Dimm, again = ctx.again()): void {
  ctx.explain({ rule: `an enabled region uses ${dimm.name}`, nearest: [[...releaseLines(ctx, dimm), again].join(' && ')] });
}

/** What frees a DIMM of the regions that use it. */
export function releaseLines(ctx: NdctlContext, dimm: Dimm): string[] {
  const quiet = { ...ctx, verbose: false, announced: new Set(ctx.announced) };
  const users = buses(quiet)
    .flatMap((bus) => regions(quiet, bus))
    .filter((region) => isBound(quiet, region.path) && dimmsInRegion(quiet, region).some(({ path }) => path === dimm.path));
  return users.map(({ name }) => `ndctl disable-region ${name}`);
}

export function disableDimm(ctx: NdctlContext, dimm: Dimm): Failure {
  if (!isBound(ctx, dimm.path)) return undefined;
  unbindDevice(ctx, dimm.path);
  if (!isBound(ctx, dimm.path)) return undefined;
  libraryError(ctx, 'ndctl_dimm_disable', `${dimm.name}: failed to disable`);
  return 'EBUSY';
}

export function enableDimm(ctx: NdctlContext, dimm: Dimm): Failure {
  if (isBound(ctx, dimm.path)) return undefined;
  bindDevice(ctx, dimm.name);
  if (isBound(ctx, dimm.path)) return undefined;
  libraryError(ctx, 'ndctl_dimm_enable', `${dimm.name}: failed to enable`);
  return 'ENXIO';
}

/** Make the kernel read a DIMM's labels again, if it holds a copy. */
export function revalidateLabels(ctx: NdctlContext, dimm: Dimm): Failure {
  return isBound(ctx, dimm.path) ? (disableDimm(ctx, dimm) ?? enableDimm(ctx, dimm)) : undefined;
}
