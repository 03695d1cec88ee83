/** `ndctl start-scrub`, `ndctl wait-scrub`: looking for media errors on whole buses. Mirrors ndctl's ndctl/bus.c. */
import { strerror } from '@holdfast/lib';
import { type Failure, type NdctlContext, exitStatus } from './context.js';
import { busPasses } from './filter.js';
import { jsonList } from './json-text.js';
import { type OptionSpec, parseOptions } from './parse-options.js';
import { busJson } from './region-json.js';
import { pollScrub, startBusScrub } from './scrub-state.js';
import { type NdBus, buses } from './topology.js';

const VERBOSE: OptionSpec = { short: 'v', long: 'verbose', help: 'turn on debug' };
const POLL: OptionSpec = { short: 'p', long: 'poll', value: 'n', numeric: true, help: 'poll interval (seconds)' };

export function startScrub(ctx: NdctlContext, args: readonly string[]): number {
  return forEachBus(
    ctx,
    args,
    { usage: 'ndctl start-scrub [<bus-id> <bus-id2> ... <bus-idN>] [<options>]', options: [VERBOSE], doing: 'starting scrub' },
    (bus) => startBusScrub(ctx, bus),
  );
}

/** The poll interval says how often to look; the end is the same. */
export function waitScrub(ctx: NdctlContext, args: readonly string[]): number {
  return forEachBus(
    ctx,
    args,
    { usage: 'ndctl wait-scrub [<bus-id> <bus-id2> ... <bus-idN>] [<options>]', options: [VERBOSE, POLL], doing: 'waiting for scrub completion' },
    (bus) => pollScrub(ctx, bus),
  );
}

interface ScrubCommand {
  readonly usage: string;
  readonly options: readonly OptionSpec[];
  readonly doing: string;
}

function forEachBus(ctx: NdctlContext, args: readonly string[], { usage, options, doing }: ScrubCommand, act: (bus: NdBus) => Failure): number {
  const { operands, has } = parseOptions(args, options, usage, ctx, ctx.out);
  ctx.verbose = has('verbose');
  const wanted = operands.length === 0 || operands.includes('all') ? ['all'] : operands;
  const done: NdBus[] = [];
  let failure: Failure;
  for (const name of wanted) {
    const found = buses(ctx).filter((bus) => busPasses(ctx, bus, name));
    if (found.length === 0 && ctx.verbose) ctx.line(`no bus matches id: ${name}`);
    for (const bus of found) {
      const refused = act(bus);
      if (refused) failure ??= refused;
      else done.push(bus);
    }
  }
  if (done.length > 0) {
    ctx.out(jsonList(done.map((bus) => busJson(ctx, bus))));
    return 0;
  }
  failure ??= 'ENXIO';
  ctx.line(`error ${doing}: ${strerror(failure)}`);
  if (failure === 'EOPNOTSUPP' || failure === 'ENOENT') {
    ctx.explain({ rule: 'this bus has no address range scrub: its firmware does not offer one, and sysfs shows no nfit/scrub' });
  }
  return exitStatus(failure);
}
