/** `ndctl clear-errors`: have the firmware make the bad blocks of a namespace good. Mirrors ndctl's ndctl/namespace.c: namespace_clear_bb. */
import { isPowerOf2, strerror } from '@holdfast/lib';
import { badBlocksOf } from './bad-blocks.js';
import { busControlOf, failureOf, submit } from './bus-access.js';
import { type Failure, type NdctlContext, debug, err, error } from './context.js';
import { jsonText } from './json-text.js';
import { namespaceJson } from './namespace-json.js';
import { parseNamespaceOptions } from './namespace-options.js';
import { disableNamespaceSafely, enableNamespace } from './namespace-state.js';
import { type Outcome, forEachNamespace } from './namespace-walk.js';
import { pollScrub, scrubState, startBusScrub } from './scrub-state.js';
import { readAttr, readNumber } from './sysfs-access.js';
import { type Namespace, type NdBus, holderOf } from './topology.js';

export function clearErrors(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseNamespaceOptions(ctx, args, 'clear errors for', 'ndctl clear_errors <namespace> [<options>]', [
    { short: 's', long: 'scrub', help: 'run a scrub to find latent errors' },
  ]);
  ctx.commandName = 'clear errors namespace';
  return forEachNamespace(ctx, request, { doing: 'clearing', done: 'cleared' }, (ns) => clear(ctx, ns, request.options.has('scrub')));
}

function clear(ctx: NdctlContext, ns: Namespace, scrub: boolean): Outcome {
  const holder = holderOf(ctx, ns);
  if (holder?.kind === 'btt') {
    debug(ctx, 'namespace_clear_bb:1528', `${holder.name}: skip error clearing for btt`);
    return 'skipped';
  }
  const failure = waitForScrub(ctx, ns, scrub) ?? clearBlocks(ctx, ns, holder ?? ns);
  if (failure) return failure;
  const json = namespaceJson(ctx, ns, { mediaErrors: true });
  if (json) ctx.out(`${jsonText(json)}\n`);
  return 'done';
}

/** Errors that nobody has found yet cannot be cleared: let the scrub that runs come to its end, or with `start` a new one. */
function waitForScrub(ctx: NdctlContext, { name, region: { bus } }: Namespace, start: boolean): Failure {
  const refuse = (what: string, failure: Exclude<Failure, undefined>): Failure => {
    error(ctx, `${name}: ${what}: ${strerror(failure)}\n`);
    return failure;
  };
  const state = scrubState(ctx, bus);
  if (!state) {
    ctx.explain({ rule: 'errors are found and cleared by commands to the firmware, and that of this bus has none' });
    return refuse('Unable to determine scrub state', 'EOPNOTSUPP');
  }
  const started = start && !state.active ? startBusScrub(ctx, bus) : undefined;
  if (started) return refuse('Unable to start scrub', started);
  const waited = pollScrub(ctx, bus);
  return waited ? refuse('Error waiting for scrub', waited) : undefined;
}

/** Clear what lies in the part of the namespace that holds data; that part is unused meanwhile. */
function clearBlocks(ctx: NdctlContext, ns: Namespace, user: { readonly path: string; readonly name: string }): Failure {
  const { region } = ns;
  const [begin, size] = [readNumber(ctx, user.path, 'resource'), readNumber(ctx, user.path, 'size')];
  if (begin === undefined || size === undefined) return 'ENXIO';
  const busy = disableNamespaceSafely(ctx, ns);
  if (busy) {
    err(ctx, `${user.name}: unable to disable namespace: ${strerror(busy)}`);
    return busy;
  }
  const base = readNumber(ctx, region.path, 'resource');
  if (base === undefined) return enableNamespace(ctx, ns) ?? 'ENXIO';
  let cleared = 0;
  for (const { offset, length } of badBlocksOf(ctx, region.path)) {
    const [first, bytes] = [base + offset * 512, length * 512];
    if (first < begin || first + bytes > begin + size) continue;
    if (sendClear(ctx, region.bus, first, bytes)) {
      err(ctx, `${user.name}: failed to clear badblock at {${offset}, ${length}}`);
      break;
    }
    cleared += length;
  }
  debug(ctx, 'nstype_clear_badblocks:1402', `${user.name}: cleared ${cleared} badblocks`);
  // As in ndctl, what could not be cleared is told and does not fail the command.
  return enableNamespace(ctx, ns);
}

function sendClear(ctx: NdctlContext, bus: NdBus, address: number, length: number): Failure {
  const provider = readAttr(ctx, bus.path, 'provider');
  const control = busControlOf(ctx, bus);
  if (!control) {
    err(ctx, `bus: ${provider} failed to create cmd`);
    return 'ENOTTY';
  }
  const cap = submit(() => control.arsCap({ address, length }));
  if (typeof cap === 'string' || failureOf(cap.status) || !isPowerOf2(cap.clearErrUnit)) {
    err(ctx, `bus: ${provider} failed to get ars_cap range`);
    return 'ENXIO';
  }
  const answer = submit(() => control.clearError({ address, length }));
  const refused = typeof answer === 'string' ? answer : failureOf(answer.status);
  if (typeof answer === 'string' || refused) {
    err(ctx, `bus: ${provider} failed to submit cmd: ${strerror(refused!)}`);
    return refused;
  }
  if (answer.cleared === length) return undefined;
  err(ctx, `bus: ${provider} expected to clear: ${length} actual: ${answer.cleared}`);
  return 'ENXIO';
}
