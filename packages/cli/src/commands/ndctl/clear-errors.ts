/** `ndctl clear-errors`: have the bus forget the bad blocks of a namespace. Mirrors ndctl's ndctl/namespace.c: namespace_clear_bb. */
import { strerror } from '@holdfast/lib';
import { badBlocksOf } from './bad-blocks.js';
import { type Failure, type NdctlContext, debug, err, error } from './context.js';
import { jsonText } from './json-text.js';
import { namespaceJson } from './namespace-json.js';
import { parseNamespaceOptions } from './namespace-options.js';
import { disableNamespaceSafely, enableNamespace } from './namespace-state.js';
import { type Outcome, forEachNamespace } from './namespace-walk.js';
import { readAttr, readNumber, writeAttr } from './sysfs-access.js';
import { type Namespace, holderOf } from './topology.js';

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
  const bus = ns.region.bus.path;
  if (readAttr(ctx, bus, 'nfit/scrub') === undefined) {
    error(ctx, `${ns.name}: Unable to determine scrub state: ${strerror('EOPNOTSUPP')}\n`);
    ctx.explain({
      rule: 'errors are cleared by a command to the bus, and this one has no such commands',
      nearest: 'write the bad sectors, whole and aligned to 512 bytes: that clears them as well',
    });
    return 'EOPNOTSUPP';
  }
  const scrubbed = scrub ? writeAttr(ctx, `${bus}/nfit/scrub`, '1\n') : undefined;
  const failure: Failure = scrubbed ?? clearBlocks(ctx, ns);
  if (failure) return failure;
  const json = namespaceJson(ctx, ns, { mediaErrors: true });
  if (json) ctx.out(`${jsonText(json)}\n`);
  return 'done';
}

/** The commands that a bus takes are not simulated, so blocks that are bad stay so. */
function clearBlocks(ctx: NdctlContext, ns: Namespace): Failure {
  const [begin, size] = [readNumber(ctx, ns.path, 'resource'), readNumber(ctx, ns.path, 'size')];
  if (begin === undefined || size === undefined) return 'ENXIO';
  const busy = disableNamespaceSafely(ctx, ns);
  if (busy) return busy;
  const bad = badBlocksOf(ctx, ns.region.path).length > 0;
  if (bad) err(ctx, `bus: ${readAttr(ctx, ns.region.bus.path, 'provider')} failed to create cmd`);
  return enableNamespace(ctx, ns) ?? (bad ? 'ENOTTY' : undefined);
}
