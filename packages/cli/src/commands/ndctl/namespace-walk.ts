/** Doing something to each namespace that a command names. Mirrors ndctl's ndctl/namespace.c: do_xaction_namespace and its callers. */
import { strerror } from '@holdfast/lib';
import { type Failure, type NdctlContext, exitStatus } from './context.js';
import { busPasses, regionPasses } from './filter.js';
import type { NamespaceRequest } from './namespace-options.js';
import { type Namespace, type NdBus, type Region, buses, hasUuid, namespaces, regions, sizeOf } from './topology.js';

/** What came of one namespace: done, nothing to do, or an errno. */
export type Outcome = 'done' | 'skipped' | Exclude<Failure, undefined>;

/** The regions that a command may touch, bus by bus. */
export function regionsFor(
  ctx: NdctlContext,
  { bus: busWanted, region: regionWanted }: Pick<NamespaceRequest, 'bus' | 'region'>,
): { bus: NdBus; region: Region }[] {
  return buses(ctx)
    .filter((bus) => busPasses(ctx, bus, busWanted))
    .flatMap((bus) =>
      regions(ctx, bus)
        .filter((region) => regionPasses(region, regionWanted))
        .map((region) => ({ bus, region })),
    );
}

/** The one namespace, or with `all` every one that has a size or a UUID. */
export function namespacesFor(ctx: NdctlContext, request: NamespaceRequest): Namespace[] {
  const { namespace: wanted } = request;
  return regionsFor(ctx, request).flatMap(({ region }) =>
    namespaces(ctx, region).filter((ns) => (wanted === 'all' ? sizeOf(ctx, ns) > 0 || hasUuid(ctx, ns) : ns.name === wanted)),
  );
}

/** Go through them, and tell how many were done. Only the last one's errno counts, as in ndctl. */
export function forEachNamespace(ctx: NdctlContext, request: NamespaceRequest, verb: { doing: string; done: string }, act: (ns: Namespace) => Outcome): number {
  let failure: Failure = request.namespace === 'all' ? undefined : 'ENXIO';
  let processed = 0;
  for (const ns of namespacesFor(ctx, request)) {
    const outcome = act(ns);
    failure = outcome === 'done' || outcome === 'skipped' ? undefined : outcome;
    if (outcome === 'done') processed++;
  }
  if (failure && ctx.errors === 0) ctx.line(`error ${verb.doing} namespaces: ${strerror(failure)}`);
  ctx.line(`${verb.done} ${processed} namespace${processed === 1 ? '' : 's'}`);
  return failure ? exitStatus(failure) : 0;
}
