/** `ndctl enable-region`, `ndctl disable-region`. Mirrors ndctl's ndctl/region.c. */
import { type Failure, type NdctlContext, error } from './context.js';
import { busPasses, regionPasses } from './filter.js';
import { disableNamespaceSafely } from './namespace-state.js';
import { type OptionSpec, exitWithUsage, parseOptions } from './parse-options.js';
import { disableRegion, enableRegion } from './region-state.js';
import { type Region, buses, namespaces, regions } from './topology.js';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: '<region> must be on a bus with an id/provider of <bus-id>' },
  { short: 't', long: 'type', value: 'region-type', help: '<region> must be of the specified type' },
];

export function enableRegionCommand(ctx: NdctlContext, args: readonly string[]): number {
  return forEachRegion(ctx, args, 'enable', (region) => enableRegion(ctx, region));
}

/** Its namespaces go first, and if one is in use, nothing else does. */
export function disableRegionCommand(ctx: NdctlContext, args: readonly string[]): number {
  return forEachRegion(ctx, args, 'disable', (region) => {
    for (const ns of namespaces(ctx, region)) {
      const busy = disableNamespaceSafely(ctx, ns);
      if (busy) return busy;
    }
    return disableRegion(ctx, region);
  });
}

/** ndctl's status is 0 even if nothing could be done. */
function forEachRegion(ctx: NdctlContext, args: readonly string[], verb: string, act: (region: Region) => Failure): number {
  const usage = `ndctl ${verb}-region <region> [<options>]`;
  const { operands, value } = parseOptions(args, OPTIONS, usage, ctx, ctx.out);
  if (operands.length === 0) error(ctx, 'specify a specific region id to act on, or "all"\n');
  for (const operand of operands.slice(1)) error(ctx, `unknown extra parameter "${operand}"\n`);
  if (operands.length !== 1) exitWithUsage(ctx, usage, OPTIONS);
  const type = value('type');
  if (type !== undefined && type !== 'pmem' && type !== 'blk') {
    error(ctx, `unknown region type '${type}', should be 'pmem' or 'blk'\n`);
    exitWithUsage(ctx, usage, OPTIONS);
  }
  const wanted = type === 'blk' ? [] : buses(ctx).filter((bus) => busPasses(ctx, bus, value('bus'))).flatMap((bus) => regions(ctx, bus));
  const chosen = wanted.filter((region) => regionPasses(region, operands[0]));
  const count = chosen.filter((region) => act(region) === undefined).length;
  if (count < chosen.length) ctx.refused();
  ctx.line(`${verb}d ${count} region${count === 1 ? '' : 's'}`);
  return 0;
}
