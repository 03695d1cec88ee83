/** `ndctl write-labels`, `ndctl zero-labels`. Mirrors ndctl's ndctl/dimm.c: action_write, action_zero. */
import { KernelError, strerror } from '@holdfast/lib';
import { openFile, readUpTo } from '../../console/open-file.js';
import { type Failure, type NdctlContext, error } from './context.js';
import { explainActive, isDimmActive, revalidateLabels } from './dimm-state.js';
import { LABEL_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';
import { failureOf, refuseActive, refuseWithoutArea } from './init-labels.js';
import { configAreaOf, traceRead, traceWrite } from './label-area-access.js';
import { type ParsedOptions, exitWithUsage } from './parse-options.js';
import type { Dimm } from './topology.js';

/** The part of a label area that --size and --offset name: bytes `[offset, offset + length)`. Undefined if it is not inside. */
export function labelExtent({ value }: ParsedOptions, sizeBytes: number): { offset: number; length: number } | undefined {
  const offset = Number(value('offset') ?? 0);
  const length = Number(value('size') ?? 0) || sizeBytes;
  return offset >= 0 && length > 0 && offset + length <= sizeBytes ? { offset, length } : undefined;
}

export function zeroLabels(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: 'ndctl zero-labels <nmem0> [<nmem1>..<nmemN>] [<options>]', options: LABEL_OPTIONS });
  const result = forEachDimm(dimmsFor(ctx, options), (dimm) => {
    if (isDimmActive(ctx, dimm)) return refuseActive(ctx, dimm);
    return writeArea(ctx, dimm, options, (length) => new Uint8Array(length));
  });
  return reportDimms(ctx, (nmems) => `zeroed ${nmems}`, result);
}

export function writeLabels(ctx: NdctlContext, args: readonly string[]): number {
  const usage = 'ndctl write-labels <nmem> [-i <filename>]';
  const specs = [...LABEL_OPTIONS, { short: 'i', long: 'input', value: 'input-file', help: 'filename to read label area data' }];
  const options = parseDimmOptions(ctx, args, { usage, options: specs });
  const found = dimmsFor(ctx, options);
  if (found.length > 1) {
    error(ctx, 'write-labels only supports writing a single dimm\n');
    exitWithUsage(ctx, usage, specs);
  }
  const input = options.value('input');
  let read: (length: number) => Uint8Array;
  try {
    const file = input === undefined ? undefined : openFile(ctx.root, ctx.resolve(input));
    read = (length) => (file ? readUpTo(file, length) : ctx.stdin().subarray(0, length));
  } catch (refused) {
    if (!(refused instanceof KernelError)) throw refused;
    ctx.line(`failed to open: ${input}: (${strerror(refused.code)})`);
    return reportDimms(ctx, (nmems) => `wrote ${nmems}`, { count: 0, failure: refused.code });
  }
  const [dimm] = found;
  if (dimm && isDimmActive(ctx, dimm)) {
    ctx.line('dimm is active, abort label write');
    explainActive(ctx, dimm);
    ctx.refused();
  } else if (dimm) writeArea(ctx, dimm, options, read);
  // ndctl counts the DIMM when it finds it, and a write that fails does not change that.
  return reportDimms(ctx, (nmems) => `wrote ${nmems}`, { count: found.length, failure: undefined });
}

function writeArea(ctx: NdctlContext, dimm: Dimm, options: ParsedOptions, content: (length: number) => Uint8Array): Failure {
  const area = configAreaOf(ctx, dimm);
  if (!area) return refuseWithoutArea(ctx, dimm);
  const extent = labelExtent(options, area.sizeBytes);
  if (!extent) {
    ctx.explain({ rule: `the label area of ${dimm.name} has ${area.sizeBytes} bytes`, nearest: [ctx.again({ offset: false, size: false })] });
    return 'EINVAL';
  }
  traceRead(ctx, dimm, extent.length);
  const failure = failureOf(() => area.write(extent.offset, content(extent.length)));
  if (failure) return failure;
  traceWrite(ctx, dimm, extent.length);
  return revalidateLabels(ctx, dimm);
}
