/** Doing something to each DIMM that a command names. Mirrors ndctl's ndctl/dimm.c: dimm_action and its callers. */
import type { ErrnoName } from '@holdfast/lib';
import type { Failure, NdctlContext } from './context.js';
import { busPasses, dimmPasses } from './filter.js';
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from './parse-options.js';
import { type Dimm, buses, dimms } from './topology.js';

export const DIMM_OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: '<nmem> must be on a bus with an id/provider of <bus-id>' },
  { short: 'v', long: 'verbose', help: 'turn on debug' },
];

export const LABEL_OPTIONS: readonly OptionSpec[] = [
  ...DIMM_OPTIONS,
  { short: 's', long: 'size', value: 'n', numeric: true, help: 'number of label bytes to operate' },
  { short: 'O', long: 'offset', value: 'n', numeric: true, help: 'offset into the label area to start operation' },
];

export interface DimmCommand {
  readonly usage: string;
  readonly options: readonly OptionSpec[];
}

/** The options of a command on DIMMs, whose operands are names or `all`. @throws NdctlExit with 129 */
export function parseDimmOptions(ctx: NdctlContext, args: readonly string[], { usage, options: specs }: DimmCommand): ParsedOptions {
  const options = parseOptions(args, specs, usage, ctx, ctx.out);
  const { operands } = options;
  const wrong = operands.includes('all') ? [] : operands.filter((name) => !/^nmem\d+/.test(name));
  for (const name of wrong) ctx.line(`'${name}' is not a valid dimm name`);
  if (operands.length === wrong.length) exitWithUsage(ctx, usage, specs);
  ctx.verbose = options.has('verbose');
  return options;
}

/** The DIMMs that were named, each as often as it was. */
export function dimmsFor(ctx: NdctlContext, { operands, value }: ParsedOptions): Dimm[] {
  const names = operands.includes('all') ? ['all'] : operands.filter((name) => /^nmem\d+/.test(name));
  const found = buses(ctx).filter((bus) => busPasses(ctx, bus, value('bus'))).flatMap((bus) => dimms(ctx, bus));
  return names.flatMap((name) => found.filter((dimm) => dimmPasses(dimm, name)));
}

/** How many it worked for, or the first errno if it did for none. */
export function forEachDimm(list: readonly Dimm[], act: (dimm: Dimm) => Failure): { count: number; failure: Failure } {
  let count = 0;
  let failure: Failure;
  for (const dimm of list) {
    const refused = act(dimm);
    if (!refused) count++;
    failure ??= refused;
  }
  return { count, failure: count > 0 ? undefined : failure };
}

/** `read 1 nmem`, and status 1, whatever the errno, if it worked for none of those there were. */
export function reportDimms(ctx: NdctlContext, text: (nmems: string) => string, { count, failure }: { count: number; failure: ErrnoName | undefined }): number {
  ctx.line(text(`${count} nmem${count > 1 ? 's' : ''}`));
  return failure ? 1 : 0;
}
