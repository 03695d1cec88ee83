/** Regions on and off. Mirrors ndctl's ndctl/lib/libndctl.c: ndctl_region_enable, ndctl_region_disable. */
import { type Failure, type NdctlContext, libraryError } from './context.js';
import { bindDevice, isBound, unbindDevice } from './sysfs-access.js';
import { type Region, announceRegion } from './topology.js';

export function enableRegion(ctx: NdctlContext, region: Region): Failure {
  if (isBound(ctx, region.path)) return undefined;
  bindDevice(ctx, region.name);
  if (!isBound(ctx, region.path)) {
    libraryError(ctx, 'ndctl_region_enable', `${region.name}: failed to enable`);
    return 'ENXIO';
  }
  announceRegion(ctx, region);
  return undefined;
}

export function disableRegion(ctx: NdctlContext, region: Region): Failure {
  if (!isBound(ctx, region.path)) return undefined;
  unbindDevice(ctx, region.path);
  if (!isBound(ctx, region.path)) return undefined;
  libraryError(ctx, 'ndctl_region_disable', `${region.name}: failed to disable`);
  return 'EBUSY';
}
