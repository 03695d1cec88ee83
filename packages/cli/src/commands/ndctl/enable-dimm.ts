/** `ndctl enable-dimm`, `ndctl disable-dimm`. Mirrors ndctl's ndctl/dimm.c: action_enable, action_disable. */
import type { NdctlContext } from './context.js';
import { disableDimm, enableDimm, explainActive, isDimmActive } from './dimm-state.js';
import { DIMM_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';

export function enableDimmCommand(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: 'ndctl enable-dimm <nmem0> [<nmem1>..<nmemN>] [<options>]', options: DIMM_OPTIONS });
  return reportDimms(ctx, (nmems) => `enabled ${nmems}`, forEachDimm(dimmsFor(ctx, options), (dimm) => enableDimm(ctx, dimm)));
}

export function disableDimmCommand(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: 'ndctl disable-dimm <nmem0> [<nmem1>..<nmemN>] [<options>]', options: DIMM_OPTIONS });
  const result = forEachDimm(dimmsFor(ctx, options), (dimm) => {
    if (!isDimmActive(ctx, dimm)) return disableDimm(ctx, dimm);
    ctx.line(`${dimm.name} is active, skipping...`);
    explainActive(ctx, dimm);
    return 'EBUSY';
  });
  return reportDimms(ctx, (nmems) => `disabled ${nmems}`, result);
}
