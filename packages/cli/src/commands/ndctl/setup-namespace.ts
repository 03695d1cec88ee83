/**
 * Making a namespace what the plan says, by writing sysfs as ndctl does and in its order. Mirrors ndctl's ndctl/namespace.c: setup_namespace.
 */
import { MIB, isAligned, strerror } from '@holdfast/lib';
import { type Failure, type NdctlContext, err, error } from './context.js';
import { jsonText } from './json-text.js';
import { namespaceJson } from './namespace-json.js';
import { type NamespacePlan, needsPfn } from './namespace-plan.js';
import { enableClaim, enableNamespace, releaseNamespace, setEnforcedMode } from './namespace-state.js';
import { isBound, readAttr, readNumber, writeAttr } from './sysfs-access.js';
import { type Claim, type Namespace, type Region, NSTYPE_IO, UINT_MAX, claimSeed, namespaceSectorSizes, nstype } from './topology.js';

/** What the command line says of how to go about it. */
export interface SetupOptions {
  readonly force: boolean;
  /** Let go of the namespace if its holder cannot be enabled. */
  readonly autorecover: boolean;
}

/** Set the namespace up, enable it and print it. Returns what failed first. */
export function setupNamespace(ctx: NdctlContext, region: Region, ns: Namespace, plan: NamespacePlan, options: SetupOptions): Failure {
  const stored = storeLabel(ctx, ns, plan) ?? storeSectorSize(ctx, ns, plan);
  if (stored) return stored;
  const uuid = ctx.uuid();
  setEnforcedMode(ctx, ns, plan.mode);
  const enabled = hold(ctx, region, ns, plan, uuid, options);
  if ('failure' in enabled) return enabled.failure;
  if (enabled.refused) {
    error(ctx, `${ns.name}: failed to enable\n`);
    return enabled.refused;
  }
  const json = namespaceJson(ctx, ns, { dax: true });
  if (json) ctx.out(`${jsonText(json)}\n`);
  if (json?.size === 0) explainEmpty(ctx, ns, plan);
  return undefined;
}

/** Neither ndctl nor the kernel minds. Linux 6.1 does later: where pages map nothing, it crashes when they go (memunmap_pages). */
function explainEmpty(ctx: NdctlContext, ns: Namespace, { align }: NamespacePlan): void {
  const start = readNumber(ctx, ns.path, 'resource') ?? 0;
  ctx.explain({
    rule: `${ns.name} is made, of 0 bytes: from 0x${start.toString(16)} on, nothing is left between multiples of ${align} bytes; Linux crashes when it is destroyed`,
    ...(align > 2 * MIB ? { nearest: [ctx.again({ align: String(2 * MIB) })] } : {}),
  });
  ctx.refused();
}

function storeLabel(ctx: NdctlContext, ns: Namespace, { uuid, name, size }: NamespacePlan): Failure {
  if (nstype(ctx, ns) === NSTYPE_IO) return undefined;
  return (
    attempt(ctx, ns.name, 'set_uuid', () => writeAttr(ctx, `${ns.path}/uuid`, uuid)) ??
    attempt(ctx, ns.name, 'set_alt_name', () => writeAttr(ctx, `${ns.path}/alt_name`, name)) ??
    attempt(ctx, ns.name, 'set_size', () => writeSize(ctx, ns, size))
  );
}

function writeSize(ctx: NdctlContext, ns: Namespace, size: number): Failure {
  if (size === 0) return 'EINVAL';
  return isBound(ctx, ns.path) ? 'EBUSY' : writeAttr(ctx, `${ns.path}/size`, `0x${size.toString(16)}\n`);
}

/** One that only a BTT has is left to the BTT. */
function storeSectorSize(ctx: NdctlContext, ns: Namespace, { mode, sectorSize }: NamespacePlan): Failure {
  if (sectorSize === 0 || sectorSize >= UINT_MAX) return undefined;
  if (namespaceSectorSizes(ctx, ns).supported.includes(sectorSize)) {
    return attempt(ctx, ns.name, 'set_sector_size', () => writeAttr(ctx, `${ns.path}/sector_size`, `${sectorSize}\n`));
  }
  if (mode === 'sector' || sectorSize === 512) return undefined;
  error(ctx, `${ns.name}: sector_size: ${sectorSize} not supported\n`);
  return 'EINVAL';
}

/** Enable the namespace through what has to hold it in its mode: `failure` before that is tried, `refused` where the kernel says no. */
function hold(
  ctx: NdctlContext,
  region: Region,
  ns: Namespace,
  plan: NamespacePlan,
  uuid: string,
  options: SetupOptions,
): { failure: Failure } | { refused: Failure } {
  const { mode, sectorSize } = plan;
  if (mode === 'sector') {
    const btt = claimSeed(ctx, region, 'btt');
    if (!btt) return { failure: 'ENXIO' };
    const size = sectorSize === UINT_MAX ? 4096 : sectorSize;
    const failure =
      attempt(ctx, btt.name, 'set_uuid', () => writeAttr(ctx, `${btt.path}/uuid`, uuid)) ??
      attempt(ctx, btt.name, 'set_sector_size', () => writeAttr(ctx, `${btt.path}/sector_size`, `${size}\n`)) ??
      claimNamespace(ctx, btt, ns);
    return failure ? { failure } : { refused: enableClaim(ctx, btt) };
  }
  if (mode !== 'devdax' && !needsPfn(ctx, mode, plan.map, ns)) return { refused: enableNamespace(ctx, ns) };
  const claim = claimSeed(ctx, region, mode === 'devdax' ? 'dax' : 'pfn');
  if (!claim) return { failure: 'ENXIO' };
  const failure = checkDaxAlign(ctx, ns, options) ?? configurePages(ctx, claim, plan, uuid) ?? claimNamespace(ctx, claim, ns);
  if (failure) return { failure };
  const refused = enableClaim(ctx, claim);
  if (refused && options.autorecover) releaseNamespace(ctx, claim);
  return { refused };
}

function configurePages(ctx: NdctlContext, claim: Claim, { map, align }: NamespacePlan, uuid: string): Failure {
  const hasAlign = readAttr(ctx, claim.path, 'align') !== undefined;
  return (
    attempt(ctx, claim.name, 'set_uuid', () => writeAttr(ctx, `${claim.path}/uuid`, uuid)) ??
    attempt(ctx, claim.name, 'set_location', () => writeAttr(ctx, `${claim.path}/mode`, map === 'mem' ? 'ram' : 'pmem')) ??
    (hasAlign ? attempt(ctx, claim.name, 'set_align', () => writeAttr(ctx, `${claim.path}/align`, `${align}\n`)) : undefined)
  );
}

function claimNamespace(ctx: NdctlContext, claim: Claim, ns: Namespace): Failure {
  return attempt(ctx, claim.name, 'set_namespace', () => writeAttr(ctx, `${claim.path}/namespace`, ns.name));
}

/** ndctl 66 and later keep to 16 MiB, so that an altmap on any kernel can follow. */
function checkDaxAlign(ctx: NdctlContext, ns: Namespace, { force }: SetupOptions): Failure {
  const resource = readNumber(ctx, ns.path, 'resource');
  if (force || resource === undefined || isAligned(resource, 16 * MIB)) return undefined;
  error(ctx, `${ns.name} misaligned to 16M, adjust region alignment and retry\n`);
  ctx.explain({ rule: `${ns.name} starts at 0x${resource.toString(16)}, which is no multiple of 16 MiB`, nearest: [ctx.again({ force: true })] });
  return 'EINVAL';
}

function attempt(ctx: NdctlContext, device: string, what: string, write: () => Failure): Failure {
  const failure = write();
  if (failure) err(ctx, `${device}: ${what} failed: ${strerror(failure)}`);
  return failure;
}
