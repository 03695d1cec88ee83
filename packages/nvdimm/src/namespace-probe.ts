/**
 * What every driver of a namespace asks first: may it be attached, with or without struct pages, and under which name.
 * Mirrors drivers/nvdimm/namespace_devs.c: nvdimm_namespace_common_probe, pmem_should_map_pages, nvdimm_namespace_disk_name.
 */
import { KERN, KernelError, SUBSECTION_SIZE, isAligned, memRange, regionIntersectsSystemRam } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';
import type { ClaimKind, NdClaim, NdCore, NdNamespace } from './nd-device.js';
import { after, releaseLines, setupLines, storeLine } from './nd-request.js';

/** ND_MIN_NAMESPACE_SIZE, bytes. */
const MIN_NAMESPACE_SIZE = 4096;

/** The alignment memremap_pages needs at both ends: a sub-section, on x86. */
const MEMREMAP_COMPAT_ALIGN = SUBSECTION_SIZE;

/** Does a raw attach of this namespace map it with struct pages? Not if its range mixes with System RAM. */
export function pmemShouldMapPages(ns: NdNamespace, iomem: Resource): boolean {
  if (!ns.pageMapAllowed || ns.forceRaw) return false;
  return regionIntersectsSystemRam(iomem, ns.start, ns.start + ns.sizeBytes - 1) !== 'mixed';
}

/**
 * The checks of an attach, in Linux's order; returns the namespace of the device.
 * @param mapsPages does a raw attach give it struct pages? Left out: as Linux decides
 * @throws KernelError ENODEV if there is no namespace, it is smaller than a page, or its labels gave it no UUID; EBUSY if it is in use raw;
 * ENXIO if a btt, pfn or dax device holds it; EOPNOTSUPP (logged) if struct pages are to map it raw and an end is not 2 MiB-aligned.
 */
export function nvdimmNamespaceCommonProbe(
  device: NdNamespace | NdClaim,
  { bus, iomem, printk }: Pick<NdCore, 'bus' | 'iomem' | 'printk'>,
  mapsPages?: boolean,
): NdNamespace {
  const ns = device.type === 'namespace' ? device : device.namespace;
  if (!ns) {
    throw new KernelError('ENODEV', `${device.name} has no namespace`, device.type === 'namespace' ? {} : after(...setupLines({ bus }, device)));
  }
  if (device.type !== 'namespace') {
    if (bus.driverOf(ns)) throw new KernelError('EBUSY', `${ns.name} is in use by ${bus.driverOf(ns)!.name}`, after(...setupLines({ bus }, device)));
    if (ns.claim !== device) throw new KernelError('ENXIO', `${ns.name} is not claimed by ${device.name}`);
  } else if (ns.claim) {
    throw new KernelError('ENXIO', `${ns.name} is claimed by ${ns.claim.name}`, after(...releaseLines({ bus }, ns.claim)));
  }
  if (ns.sizeBytes < MIN_NAMESPACE_SIZE) {
    throw new KernelError('ENODEV', `${ns.name} has ${ns.sizeBytes} bytes: expected at least ${MIN_NAMESPACE_SIZE}`);
  }
  const end = ns.start + ns.sizeBytes;
  const aligned = isAligned(ns.start, MEMREMAP_COMPAT_ALIGN) && isAligned(end, MEMREMAP_COMPAT_ALIGN);
  // A pfn or dax device brings its own padding, and checks its info block.
  if (device === ns && !aligned && (mapsPages ?? pmemShouldMapPages(ns, iomem))) {
    const range = memRange(ns.start, end - 1).replace(']', ' flags 0x200]');
    printk(`${bus.driverOf(ns)?.name ?? 'nd'} ${ns.name}: ${range} misaligned, unable to map`, KERN.err);
    throw new KernelError(
      'EOPNOTSUPP',
      `${ns.name} ${memRange(ns.start, end - 1)}: struct pages need both ends aligned to ${MEMREMAP_COMPAT_ALIGN}`,
      after(storeLine(ns.name, 'force_raw', 1)),
    );
  }
  if (ns.kind === 'pmem' && ns.uuid === undefined) throw new KernelError('ENODEV', `${ns.name} has no UUID`);
  return ns;
}

/** `pmem<region>[.<namespace>][s]`: the namespace's number only if it is not 0, `s` under a BTT. */
export function nvdimmNamespaceDiskName(ns: Pick<NdNamespace, 'regionId' | 'id'>, claim?: ClaimKind): string {
  return `pmem${ns.regionId}${ns.id === 0 ? '' : `.${ns.id}`}${claim === 'btt' ? 's' : ''}`;
}
