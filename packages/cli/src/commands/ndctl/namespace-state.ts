/**
 * Turning namespaces on and off, and what holds them. Mirrors ndctl's ndctl/lib/libndctl.c: ndctl_namespace_enable,
 * ndctl_namespace_disable_safe, ndctl_namespace_disable_invalidate, ndctl_{btt,pfn,dax}_delete, ndctl_namespace_delete.
 */
import { KernelError, strerror } from '@holdfast/lib';
import { type Failure, type NdctlContext, dbg, libraryError } from './context.js';
import { daxDevices, hasOnlineMemory } from './dax-region-json.js';
import { bindDevice, isBound, nodeOf, unbindDevice, writeAttr } from './sysfs-access.js';
import { type Claim, type Mode, type Namespace, NSTYPE_IO, blockDevice, holderOf, nstype } from './topology.js';

/** Bind it; a driver may find that something else holds it and take that, which counts. */
export function enableNamespace(ctx: NdctlContext, ns: Namespace): Failure {
  if (isBound(ctx, ns.path)) return undefined;
  const refused = bindDevice(ctx, ns.name);
  if (isBound(ctx, ns.path)) return undefined;
  const holder = holderOf(ctx, ns);
  if (holder && isBound(ctx, holder.path)) return undefined;
  libraryError(ctx, 'ndctl_namespace_enable', `${ns.name}: failed to enable`);
  return refused ?? 'ENXIO';
}

/** Bind what holds a namespace; the errno does not tell why it failed, the kernel log does. */
export function enableClaim(ctx: NdctlContext, claim: Claim): Failure {
  if (isBound(ctx, claim.path)) return undefined;
  bindDevice(ctx, claim.name);
  if (isBound(ctx, claim.path)) return undefined;
  libraryError(ctx, `ndctl_${claim.kind}_enable`, `${claim.name}: failed to enable`);
  return 'ENXIO';
}

/** Take a namespace out of use, whoever uses it. */
export function disableNamespace(ctx: NdctlContext, ns: Namespace): Failure {
  const holder = holderOf(ctx, ns);
  if (holder) {
    unbindDevice(ctx, holder.path);
    const failure = releaseNamespace(ctx, holder);
    if (failure) return failure;
  }
  if (!isBound(ctx, ns.path)) return undefined;
  unbindDevice(ctx, ns.path);
  return isBound(ctx, ns.path) ? 'EBUSY' : undefined;
}

/** Let go of the namespace that it holds. */
export function releaseNamespace(ctx: NdctlContext, claim: Claim): Failure {
  return writeAttr(ctx, `${claim.path}/namespace`, '\n');
}

/** Take a namespace out of use unless somebody works with it: a mounted disk, or memory that is online. */
export function disableNamespaceSafely(ctx: NdctlContext, ns: Namespace): Failure {
  const holder = holderOf(ctx, ns);
  const active = holder && isBound(ctx, holder.path) ? holder : ns;
  if (active === holder && holder.kind === 'dax') {
    const online = daxDevices(ctx, holder).filter((device) => hasOnlineMemory(ctx, device));
    if (online.length > 0) {
      dbg(ctx, 'ndctl_namespace_disable_safe', `${ns.name}: active as system-ram, refusing to disable`);
      ctx.explain({
        rule: `${ns.name} is in use as RAM: some of its memory blocks are online`,
        nearest: [[...online.map(({ name }) => `daxctl offline-memory ${name}`), ctx.again()].join(' && ')],
      });
      return 'EBUSY';
    }
  } else {
    const disk = blockDevice(ctx, active);
    const refused = disk === '' ? undefined : openExclusively(ctx, disk);
    if (refused) {
      dbg(ctx, 'ndctl_namespace_disable_safe', `${ns.name}: ${disk} failed exclusive open: ${strerror(refused)}`);
      ctx.explain({ rule: `/dev/${disk} is in use: it is mounted, or something holds it`, nearest: [`umount /dev/${disk} && ${ctx.again()}`] });
      return refused;
    }
  }
  disableNamespace(ctx, ns);
  return undefined;
}

/** Whether a disk is free of mounts and holders (O_EXCL). */
function openExclusively(ctx: NdctlContext, disk: string): Failure {
  const node = nodeOf(ctx, `/dev/${disk}`);
  if (node?.kind !== 'block') return 'ENOENT';
  try {
    node.open({ exclusive: 'ndctl' }).close();
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

const HOLDER_CLASS: Readonly<Record<Mode, string>> = { fsdax: 'pfn', sector: 'btt', raw: '', devdax: 'dax' };

/** Say in the label what may hold the namespace; kernels that do not know labels refuse, and nobody minds. */
export function setEnforcedMode(ctx: NdctlContext, ns: Namespace, mode: Mode): void {
  writeAttr(ctx, `${ns.path}/holder_class`, HOLDER_CLASS[mode]);
}

/** Give its room back. A namespace without labels stays as it is. */
export function deleteNamespace(ctx: NdctlContext, ns: Namespace): Failure {
  if (isBound(ctx, ns.path)) return 'EBUSY';
  if (nstype(ctx, ns) === NSTYPE_IO) {
    dbg(ctx, 'ndctl_namespace_delete', `${ns.name}: nstype: ${NSTYPE_IO} not deletable`);
    return undefined;
  }
  const failure = writeAttr(ctx, `${ns.path}/size`, '0\n');
  return failure === 'ENXIO' ? undefined : failure; // it is gone already
}
