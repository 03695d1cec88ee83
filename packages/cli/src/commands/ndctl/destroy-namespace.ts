/** `ndctl destroy-namespace`. Mirrors ndctl's ndctl/namespace.c: namespace_prep_reconfig, namespace_destroy. */
import { type Failure, type NdctlContext, debug, error } from './context.js';
import { parseNamespaceOptions } from './namespace-options.js';
import { deleteNamespace, disableNamespaceSafely, setEnforcedMode } from './namespace-state.js';
import { type Outcome, forEachNamespace } from './namespace-walk.js';
import { readNumber } from './sysfs-access.js';
import { type Namespace, NSTYPE_IO, isActive, nstype } from './topology.js';
import { zeroInfoBlock } from './zero-info-block.js';

export function destroyNamespace(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseNamespaceOptions(ctx, args, 'destroy', 'ndctl destroy-namespace <namespace> [<options>]', [
    { short: 'f', long: 'force', help: 'destroy namespace even if currently active' },
  ]);
  ctx.commandName = 'destroy namespace';
  const force = request.options.has('force');
  return forEachNamespace(ctx, request, { doing: 'destroying', done: 'destroyed' }, (ns) => destroy(ctx, ns, force));
}

function destroy(ctx: NdctlContext, ns: Namespace, force: boolean): Outcome {
  const prepared = prepareReconfig(ctx, ns, force);
  if (typeof prepared === 'string') return prepared;
  if (nstype(ctx, ns) === NSTYPE_IO) return prepared.zeroed ? 'done' : 'skipped';
  const failure: Failure = deleteNamespace(ctx, ns);
  if (failure) debug(ctx, 'namespace_destroy:1176', `${ns.name}: failed to reclaim`);
  return failure ?? 'done';
}

/** Take a namespace out of use and wipe its info block. Gives an errno, or whether there was something to wipe. */
export function prepareReconfig(ctx: NdctlContext, ns: Namespace, force: boolean): { zeroed: boolean } | Exclude<Failure, undefined> {
  if (readNumber(ctx, ns.region.path, 'read_only') === 1) {
    error(ctx, `${ns.name}: read-only, re-configuration disabled\n`);
    ctx.explain({ rule: `${ns.region.name} is read-only: a DIMM below it is not armed, so it could not save its caches at a power cut` });
    return 'ENXIO';
  }
  if (isActive(ctx, ns) && !force) {
    error(ctx, `${ns.name} is active, specify --force for re-configuration\n`);
    ctx.explain({ rule: `${ns.name} is in use`, nearest: [ctx.again({ force: true }), `ndctl disable-namespace ${ns.name} && ${ctx.again()}`] });
    return 'EBUSY';
  }
  const busy = disableNamespaceSafely(ctx, ns);
  if (busy) return busy;
  setEnforcedMode(ctx, ns, 'raw');
  const zeroed = zeroInfoBlock(ctx, ns);
  return zeroed === 'zeroed' || zeroed === 'skipped' ? { zeroed: zeroed === 'zeroed' } : zeroed;
}
