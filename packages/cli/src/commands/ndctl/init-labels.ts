/** `ndctl init-labels`, `ndctl check-labels`. Mirrors ndctl's ndctl/dimm.c: __action_init. */
import { type LabelSize, initLabelArea, openLabelArea } from '@holdfast/nvdimm';
import { KernelError } from '@holdfast/lib';
import type { Failure, NdctlContext } from './context.js';
import { explainActive, isDimmActive, releaseLines, revalidateLabels } from './dimm-state.js';
import { DIMM_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';
import { configAreaOf, traceIndexRead, traceIndexWrites } from './label-area-access.js';
import type { Dimm } from './topology.js';

export const INIT_OPTIONS = [
  ...DIMM_OPTIONS,
  { short: 'f', long: 'force', help: 'force initialization even if existing index-block present' },
  { short: 'V', long: 'label-version', value: 'version-number', help: 'namespace label specification version (default: 1.1)' },
];

const LABEL_SIZES: Readonly<Record<string, LabelSize>> = { '1.1': 128, 'v1.1': 128, '1.2': 256, 'v1.2': 256 };

export function initLabels(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: 'ndctl init-labels <nmem0> [<nmem1>..<nmemN>] [<options>]', options: INIT_OPTIONS });
  const report = (result: { count: number; failure: Failure }): number => reportDimms(ctx, (nmems) => `initialized ${nmems}`, result);
  const version = options.value('label-version') ?? '1.1';
  const labelSize = LABEL_SIZES[version];
  if (!labelSize) {
    ctx.line(`'${version}' is not a valid label version`);
    ctx.explain({
      rule: 'labels are of version 1.1 (128 bytes) or 1.2 (256 bytes)',
      nearest: [
        [...dimmsFor(ctx, options).flatMap((dimm) => releaseLines(ctx, dimm)), ctx.again({ 'label-version': '1.2', force: true })].join(' && '),
      ],
    });
    return report({ count: 0, failure: 'EINVAL' });
  }
  return report(forEachDimm(dimmsFor(ctx, options), (dimm) => init(ctx, dimm, labelSize, options.has('force'))));
}

function init(ctx: NdctlContext, dimm: Dimm, labelSize: LabelSize, force: boolean): Failure {
  const area = configAreaOf(ctx, dimm);
  if (!area) return refuseWithoutArea(ctx, dimm);
  traceIndexRead(ctx, dimm, area);
  if (isDimmActive(ctx, dimm)) return refuseActive(ctx, dimm, openLabelArea(area) ? ctx.again({ force: true }) : ctx.again());
  if (openLabelArea(area) && !force) {
    ctx.line(`${dimm.name}: error: labels already initialized`);
    ctx.explain({ rule: `${dimm.name} has labels; to make them anew is to lose its namespaces`, nearest: [ctx.again({ force: true })] });
    return 'EBUSY';
  }
  const failure = failureOf(() => void initLabelArea(area, labelSize, 'ndctl'));
  if (failure) return failure;
  traceIndexWrites(ctx, dimm, area);
  return revalidateLabels(ctx, dimm);
}

/** What commands on labels say of a DIMM that has no place for them. */
export function refuseWithoutArea(ctx: NdctlContext, dimm: Dimm): Failure {
  ctx.explain({ rule: `${dimm.name} has no label area, or its firmware does not let anybody read and write it` });
  return 'ENXIO';
}

/** The kernel holds a copy of the labels while a region goes by them. */
export function refuseActive(ctx: NdctlContext, dimm: Dimm, again = ctx.again()): Failure {
  ctx.line(`${dimm.name}: regions active, abort label write`);
  explainActive(ctx, dimm, again);
  return 'EBUSY';
}

/** An errno of the DIMM's firmware, as a result. */
export function failureOf(act: () => void): Failure {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

export function checkLabels(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: 'ndctl check-labels <nmem0> [<nmem1>..<nmemN>] [<options>]', options: DIMM_OPTIONS });
  const result = forEachDimm(dimmsFor(ctx, options), (dimm) => {
    const area = configAreaOf(ctx, dimm);
    if (!area) return refuseWithoutArea(ctx, dimm);
    traceIndexRead(ctx, dimm, area);
    return openLabelArea(area) ? undefined : 'EINVAL';
  });
  ctx.line(`successfully verified ${result.count} nmem label${result.count > 1 ? 's' : ''}`);
  return result.failure ? 1 : 0;
}
