/** A bus's scrub as ndctl waits for it. Mirrors ndctl's ndctl/lib/libndctl.c: ndctl_bus_start_scrub, ndctl_bus_poll_scrub_completion. */
import { type Failure, type NdctlContext, dbg } from './context.js';
import { readAttr, writeAttr } from './sysfs-access.js';
import type { NdBus } from './topology.js';

export interface ScrubState {
  readonly count: number;
  readonly active: boolean;
}

/** Undefined on a bus that cannot scrub. */
export function scrubState(ctx: NdctlContext, bus: NdBus): ScrubState | undefined {
  const match = /^(\d+)(\+?)/.exec(readAttr(ctx, bus.path, 'nfit/scrub') ?? '');
  return match ? { count: Number(match[1]), active: match[2] === '+' } : undefined;
}

/** An NFIT's bus has the attribute only where its firmware scrubs; another bus has none. */
function whyNoScrub(ctx: NdctlContext, bus: NdBus): Failure {
  return readAttr(ctx, bus.path, 'nfit/revision') === undefined ? 'EOPNOTSUPP' : 'ENOENT';
}

export function startBusScrub(ctx: NdctlContext, bus: NdBus): Failure {
  if (!scrubState(ctx, bus)) return whyNoScrub(ctx, bus);
  const refused = writeAttr(ctx, `${bus.path}/nfit/scrub`, '1\n');
  if (refused !== 'EBUSY') return refused;
  // The kernel may only be waiting before it looks again.
  return pollScrub(ctx, bus, 1) ?? writeAttr(ctx, `${bus.path}/nfit/scrub`, '1\n');
}

/** Wait until no scrub is active, at most `timeout` seconds if that is given. */
export function pollScrub(ctx: NdctlContext, bus: NdBus, timeout = Infinity): Failure {
  const provider = readAttr(ctx, bus.path, 'provider') ?? '';
  for (let waited = 0; ; waited++) {
    const state = scrubState(ctx, bus);
    if (!state) return whyNoScrub(ctx, bus);
    if (!state.active) {
      dbg(ctx, 'ndctl_bus_poll_scrub_completion', `${provider}: scrub complete, status: '${state.count}'`);
      return undefined;
    }
    if (waited >= timeout) return 'ETIMEDOUT';
    // Linux wakes the waiting process by a notification; a look each second of virtual time comes to the same.
    ctx.sleep(1);
  }
}
