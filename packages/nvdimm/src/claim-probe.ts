/**
 * What lies on a raw namespace: a BTT, an info block of fsdax or devdax, or nothing that we know. Found, it gets its device, which claims
 * the namespace and comes up by itself. Mirrors drivers/nvdimm/btt_devs.c: nd_btt_probe; pfn_devs.c: nd_pfn_probe; dax_devs.c: nd_dax_probe.
 *
 * Invariant: the media is only read.
 */
import { KERN, KernelError, type NearestRequest } from '@holdfast/lib';
import { probeBtt } from './btt.js';
import { createClaim, removeClaim } from './claim.js';
import { type PfnNamespace, readInfoBlock } from './info-block-check.js';
import type { NamespaceIo } from './namespace-io.js';
import type { ClaimKind, NdBtt, NdClaim, NdCore, NdNamespace, NdPfn } from './nd-device.js';
import { storeLine } from './nd-request.js';

/**
 * Look for each format that the namespace may have. True if one was found: its device is on its way.
 * @throws KernelError EOPNOTSUPP, logged, for an info block that this kernel cannot honour: then the namespace must not be used raw either
 */
export function probeClaims(core: NdCore, ns: NdNamespace, io: NamespaceIo): boolean {
  if (ns.forceRaw) return false;
  return (['btt', 'pfn', 'dax'] as const).some((kind) => mayBe(ns, kind) && probeClaim(core, ns, io, kind));
}

/** The namespace as the formats on it see it. */
export function pfnNamespace({ name, start, sizeBytes, uuid }: NdNamespace): PfnNamespace {
  return { name, start, sizeBytes, uuid };
}

/** Who speaks in the log: the device's driver, or the bus. */
export function whoLogs({ bus }: NdCore, device: NdClaim | NdNamespace): string {
  return `${bus.driverOf(device)?.name ?? 'nd'} ${device.name}`;
}

function mayBe({ claimClass }: NdNamespace, kind: ClaimKind): boolean {
  return claimClass === 'none' || (claimClass === 'btt2' ? 'btt' : claimClass) === kind;
}

function probeClaim(core: NdCore, ns: NdNamespace, io: NamespaceIo, kind: ClaimKind): boolean {
  const claim = createClaim(core, ns.region, kind, ns);
  let found = false;
  try {
    found = claim.type === 'btt' ? adoptBtt(core, claim, ns, io) : adoptInfoBlock(core, claim, ns, io);
  } finally {
    if (!found) removeClaim(core, claim);
  }
  if (found) core.later(() => core.bus.addDevice(claim));
  return found;
}

function adoptBtt(core: NdCore, btt: NdBtt, ns: NdNamespace, io: NamespaceIo): boolean {
  const claimClass = ns.claimClass === 'unknown' ? 'none' : ns.claimClass;
  const result = probeBtt(io, { claimClass, parentUuid: ns.uuid }, (text, level) => core.printk(`${whoLogs(core, btt)}: ${text}`, level));
  if ('refused' in result) return false;
  Object.assign(btt, result.found);
  return true;
}

function adoptInfoBlock(core: NdCore, pfn: NdPfn, ns: NdNamespace, io: NamespaceIo): boolean {
  const check = readInfoBlock(io, { kind: pfn.type, namespace: pfnNamespace(ns), defaultAlign: pfn.align });
  if ('valid' in check) {
    const { uuid, mode, align } = check.valid;
    Object.assign(pfn, { uuid, mode, align });
    return true;
  }
  const { code, log, rule } = check.refused;
  if (log !== undefined) core.printk(`${whoLogs(core, pfn)}: ${log}`, KERN.err);
  if (code === 'EOPNOTSUPP') throw new KernelError(code, `${ns.name}: ${rule}`, { nearest: pastInfoBlock(ns, pfn) });
  return false;
}

/** The bytes as they are, whatever the block says of them; or a new block, and what was behind the old one is lost. */
function pastInfoBlock({ name }: NdNamespace, { type }: NdPfn): NearestRequest[] {
  return [{ first: storeLine(name, 'force_raw', 1) }, { instead: `ndctl create-namespace -f -e ${name} -m ${type === 'dax' ? 'devdax' : 'fsdax'}` }];
}
