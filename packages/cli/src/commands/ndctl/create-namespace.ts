/**
 * `ndctl create-namespace`: a new namespace, or with -e an old one made anew. Mirrors ndctl's ndctl/namespace.c: cmd_create_namespace,
 * namespace_create, namespace_reconfig, enable_labels.
 */
import { strerror } from '@holdfast/lib';
import { type LabelSize, initLabelArea } from '@holdfast/nvdimm';
import { type Failure, type NdctlContext, debug, err, exitStatus } from './context.js';
import { prepareReconfig } from './destroy-namespace.js';
import { disableDimm, enableDimm, isDimmActive } from './dimm-state.js';
import { configAreaOf, hasLabelCommands, traceIndexRead, traceIndexWrites } from './label-area-access.js';
import { type CreateRequest, parseCreateOptions } from './namespace-options.js';
import { planNamespace } from './namespace-plan.js';
import { deleteNamespace, setEnforcedMode } from './namespace-state.js';
import { regionsFor } from './namespace-walk.js';
import { disableRegion, enableRegion } from './region-state.js';
import { setupNamespace } from './setup-namespace.js';
import { readAttr, readNumber } from './sysfs-access.js';
import { type Namespace, type Region, NSTYPE_IO, dimmsInRegion, isConfigurationIdle, namespaceSeed, namespaces, nstype } from './topology.js';

export function createNamespace(ctx: NdctlContext, args: readonly string[]): number {
  const request = parseCreateOptions(ctx, args);
  ctx.commandName = 'create namespace';
  const { created, failure: first } = walk(ctx, request);
  // Without arguments ndctl tries regions of the BLK kind too. No kernel has had any since 5.18.
  const failure = first && created === 0 && request.scan ? 'ENXIO' : first;
  if (request.greedy) ctx.line(`created ${created} namespace${created === 1 ? '' : 's'}`);
  const isNew = request.reconfig === undefined;
  if (!failure && !(isNew && created === 0)) return 0;
  if (ctx.errors > 0) return failure ? exitStatus(failure) : 0;
  ctx.line(`failed to ${isNew ? 'create' : 'reconfigure'} namespace: ${failure ? strerror(failure) : 'Success'}`);
  return exitStatus(isNew ? 'ENODEV' : failure!);
}

interface Walk {
  created: number;
  failure: Failure;
}

function walk(ctx: NdctlContext, request: CreateRequest): Walk {
  const result: Walk = { created: 0, failure: request.reconfig === 'all' ? undefined : 'ENXIO' };
  let kept: Failure;
  for (const { region } of regionsFor(ctx, request)) {
    if (request.type === 'blk') continue;
    if (request.reconfig !== undefined) {
      const ns = namespaces(ctx, region).find(({ name }) => name === request.reconfig);
      if (!ns) continue;
      const failure = reconfigure(ctx, region, ns, request);
      return { created: failure ? 0 : 1, failure };
    }
    result.failure = createIn(ctx, region, request);
    if (result.failure === 'EAGAIN') continue;
    if (!result.failure) result.created++;
    else if (request.greedy && request.force) kept = result.failure;
    if (!request.greedy || (result.failure && !request.force)) return result;
  }
  if (result.failure === 'EAGAIN') result.failure = request.greedy && result.created > 0 ? undefined : 'ENOSPC';
  return kept ? { ...result, failure: kept } : result;
}

/** @returns EAGAIN if another region may do */
function createIn(ctx: NdctlContext, region: Region, request: CreateRequest): Failure {
  const plan = planNamespace(ctx, request, region);
  if (typeof plan === 'string') return plan;
  if (readNumber(ctx, region.path, 'read_only') === 1) {
    debug(ctx, 'namespace_create:1023', `${region.name}: read-only, ineligible for namespace creation`);
    ctx.explain({ rule: `${region.name} is read-only: a DIMM below it is not armed, so it could not save its caches at a power cut` });
    return 'EAGAIN';
  }
  const ns = idleNamespace(ctx, region);
  if (!ns || !isConfigurationIdle(ctx, ns)) {
    debug(ctx, 'namespace_create:1030', `${region.name}: no ${ns ? 'idle' : 'available'} namespace seed`);
    ctx.explain({ rule: `${region.name} has no idle namespace to configure`, ...(ns ? { nearest: [ctx.again({ reconfig: ns.name, force: true })] } : {}) });
    return 'EAGAIN';
  }
  const failure = setupNamespace(ctx, region, ns, plan, request);
  if (failure && request.autorecover) {
    setEnforcedMode(ctx, ns, 'raw');
    deleteNamespace(ctx, ns);
  }
  return failure;
}

/** The first one if it is idle, else the seed. */
function idleNamespace(ctx: NdctlContext, region: Region): Namespace | undefined {
  return namespaces(ctx, region).find((ns) => ns.id === 0 && isConfigurationIdle(ctx, ns)) ?? namespaceSeed(ctx, region);
}

function reconfigure(ctx: NdctlContext, region: Region, ns: Namespace, request: CreateRequest): Failure {
  const plan = planNamespace(ctx, request, region, ns);
  if (typeof plan === 'string') return plan;
  const prepared = prepareReconfig(ctx, ns, request.force);
  if (typeof prepared === 'string') return prepared;
  let target: Namespace | undefined = ns;
  if (nstype(ctx, region) === NSTYPE_IO && request.autolabel) {
    const labelled = enableLabels(ctx, region);
    if (labelled !== 'ENODEV') target = idleNamespace(ctx, region);
    if (!target || (labelled !== 'ENODEV' && !isConfigurationIdle(ctx, target))) {
      debug(ctx, 'namespace_reconfig:1292', `${region.name}: no ${target ? 'idle' : 'available'} namespace seed`);
      return 'ENODEV';
    }
  }
  return setupNamespace(ctx, region, target, plan, request);
}

/** Give a region labels if all of its DIMMs have a place for them. @returns ENODEV if they have not, EBUSY if it did not work */
function enableLabels(ctx: NdctlContext, region: Region): Failure {
  const mappings = readNumber(ctx, region.path, 'mappings') ?? 0;
  if (mappings === 0) return 'ENODEV';
  const dimms = dimmsInRegion(ctx, region);
  if (dimms.filter((dimm) => hasLabelCommands(ctx, dimm)).length !== mappings) return 'ENODEV';
  disableRegion(ctx, region);
  const active = dimms.filter((dimm) => isDimmActive(ctx, dimm));
  for (const { name } of active) ctx.line(` Warning: ${name} is active in ${region.name}, failing autolabel\n`);
  if (active.length === 0) initAll(ctx, region, 256);
  enableRegion(ctx, region);
  if (nstype(ctx, region) !== NSTYPE_IO) return undefined;
  err(ctx, `${region.name}: failed to initialize labels`);
  return 'EBUSY';
}

/** v1.2, and where the kernel does not understand that, v1.1: then it finds fewer slots than were made. */
function initAll(ctx: NdctlContext, region: Region, labelSize: LabelSize): void {
  for (const dimm of dimmsInRegion(ctx, region)) {
    const area = configAreaOf(ctx, dimm);
    if (!area) continue;
    const { nrSlots } = initLabelArea(area, labelSize, 'ndctl');
    traceIndexRead(ctx, dimm, area);
    traceIndexWrites(ctx, dimm, area);
    disableDimm(ctx, dimm);
    enableDimm(ctx, dimm);
    const available = Number(readAttr(ctx, dimm.path, 'available_slots') ?? NaN) + 1;
    if (available !== nrSlots && labelSize === 256) return initAll(ctx, region, 128);
  }
}
