/**
 * What may claim a namespace to give it a format: `bttR.n`, `pfnR.n`, `daxR.n`, and how user space configures one.
 * Mirrors drivers/nvdimm/{btt,pfn,dax}_devs.c, and claim.c: nd_namespace_store, nd_attach_ndns, nd_detach_and_reset.
 *
 * User space takes the seed of the kind, stores a UUID and the format's settings, then a namespace, and binds a driver. Storing no
 * namespace lets go of it again, and takes the device away unless it is the seed.
 *
 * Invariant: `claim.namespace` and `namespace.claim` point at each other or at nothing; while a driver has the claim, nothing changes.
 */
import { KernelError, MIB, hex, readOnly, readWrite } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import { BTT_LBA_SIZES } from './btt-info.js';
import { X86_64_LIMITS } from './info-block-check.js';
import { PFN_MODE } from './info-block.js';
import { nodeAttributes } from './namespace.js';
import type { ClaimKind, NdBtt, NdClaim, NdCore, NdNamespace, NdPfn, NdRegion } from './nd-device.js';
import { nstypeOf } from './region-labels.js';
import { MIN_HOST_SIZE, after, idleNamespaces, mayHold, releaseLines, storeLine, unbindLine, values } from './nd-request.js';
import { parseChoice, parseStoredUuid, showChoice } from './size-select.js';

/** A PMD, which x86 kernels with huge pages prefer. */
const DEFAULT_ALIGNMENT = 2 * MIB;
const { supportedAlignments } = X86_64_LIMITS;

/** Make a device with the lowest free number. Give it a namespace to hold, or leave it idle. */
export function createClaim(core: NdCore, region: NdRegion, type: ClaimKind, namespace?: NdNamespace): NdClaim {
  const id = region.ids[type].alloc();
  const base = { name: `${type}${region.id}.${id}`, parent: region, region, id, numaNode: region.numaNode, namespace, uuid: undefined };
  const claim: NdClaim =
    type === 'btt'
      ? { ...base, type, lbaSize: 0, diskSize: undefined, attributes: () => claimAttributes(core, claim) }
      : { ...base, type, mode: 'none', align: DEFAULT_ALIGNMENT, block: undefined, attributes: () => claimAttributes(core, claim) };
  if (namespace) namespace.claim = claim;
  return claim;
}

/** Let go of the namespace, leave the bus, and give the number back. */
export function removeClaim({ bus }: NdCore, claim: NdClaim): void {
  if (bus.devices.includes(claim)) bus.removeDevice(claim);
  detach(claim);
  claim.region.ids[claim.type].free(claim.id);
}

function detach(claim: NdClaim): void {
  if (claim.namespace) claim.namespace.claim = undefined;
  claim.namespace = undefined;
}

function claimAttributes(core: NdCore, claim: NdClaim): Attribute[] {
  const { region, type } = claim;
  return [
    ...(type === 'btt' ? bttAttributes(core, claim) : pfnAttributes(core, claim)),
    readWrite('uuid', () => claim.uuid ?? '', (text) => {
      checkUnbound(core, claim);
      claim.uuid = parseStoredUuid(text);
    }),
    readWrite('namespace', () => claim.namespace?.name ?? '', (text) => storeNamespace(core, claim, text)),
    ...nodeAttributes(region),
    // A dax device has a type of its own; btt and pfn are matched as what they claim.
    readOnly('modalias', () => (type === 'dax' ? 'nd:t7' : `nd:t${nstypeOf(region)}`)),
    readOnly('devtype', () => `nd_${type}`),
  ];
}

function bttAttributes(core: NdCore, btt: NdBtt): Attribute[] {
  return [
    readWrite('sector_size', () => showChoice(BTT_LBA_SIZES, btt.lbaSize), (text) => {
      checkUnbound(core, btt);
      btt.lbaSize = parseChoice(text, BTT_LBA_SIZES);
    }),
    readOnly('size', () => whileBound(btt, btt.diskSize)),
    readOnly('log_zero_flags', () => 'Y'),
  ];
}

function pfnAttributes(core: NdCore, pfn: NdPfn): Attribute[] {
  return [
    readWrite('mode', () => pfn.mode, (text) => {
      checkUnbound(core, pfn);
      pfn.mode = parseMode(text);
    }),
    readWrite('align', () => pfn.align, (text) => {
      checkUnbound(core, pfn);
      pfn.align = parseChoice(text, supportedAlignments);
    }),
    readOnly('supported_alignments', () => showChoice(supportedAlignments, 0)),
    readOnly('resource', () => hex(dataStart(pfn)), 0o400),
    readOnly('size', () => {
      const { dataOffset, startPad, endTrunc } = whileBound(pfn, pfn.block);
      return pfn.namespace!.sizeBytes - startPad - endTrunc - dataOffset;
    }),
  ];
}

function dataStart(pfn: NdPfn): number {
  const { dataOffset, startPad } = whileBound(pfn, pfn.block);
  return pfn.namespace!.start + startPad + dataOffset;
}

/** What only a driver knows. @throws KernelError ENXIO without one */
function whileBound<T>({ name }: NdClaim, value: T | undefined): T {
  if (value === undefined) throw new KernelError('ENXIO', `${name} has no driver, and so no size or place`);
  return value;
}

function checkUnbound({ bus }: NdCore, claim: NdClaim): void {
  const driver = bus.driverOf(claim);
  if (driver) throw new KernelError('EBUSY', `${claim.name} is in use by ${driver.name}`, after(unbindLine(claim.name, driver.name)));
}

function parseMode(text: string): NdPfn['mode'] {
  const word = text.replace(/\n$/, '');
  if (!Object.hasOwn(PFN_MODE, word)) throw new KernelError('EINVAL', `mode '${word}': expected ${Object.keys(PFN_MODE).join(', ')}`, values('pmem', 'ram'));
  return word as NdPfn['mode'];
}

/** @throws KernelError EBUSY, ENODEV if the region has no such namespace, ENXIO if it is smaller than 16 MiB, EINVAL for another word */
function storeNamespace(core: NdCore, claim: NdClaim, text: string): void {
  checkUnbound(core, claim);
  const name = text.trim();
  if (name === '') return release(core, claim);
  if (!name.startsWith('namespace')) {
    throw new KernelError('EINVAL', `'${name}': expected the name of a namespace, or nothing`, values(...idleNamespaces(claim)));
  }
  if (claim.namespace) throw new KernelError('EBUSY', `${claim.name} holds ${claim.namespace.name} already`, after(storeLine(claim.name, 'namespace', '')));
  const ns = claim.region.namespaces.find((each) => each.name === name);
  if (!ns) throw new KernelError('ENODEV', `${claim.region.name} has no ${name}`, values(...idleNamespaces(claim)));
  if (!mayHold(claim, ns)) {
    throw new KernelError(
      'EBUSY',
      `${name} is to be held by ${ns.claimClass}, not by ${claim.type}`,
      after(storeLine(name, 'holder_class', claim.type)),
    );
  }
  if (ns.sizeBytes < MIN_HOST_SIZE) {
    throw new KernelError(
      'ENXIO',
      `${name} has ${ns.sizeBytes} bytes: a ${claim.type} needs at least ${MIN_HOST_SIZE}`,
      ns.kind === 'io' ? {} : after(storeLine(name, 'size', MIN_HOST_SIZE)),
    );
  }
  if (ns.claim) throw new KernelError('EBUSY', `${name} is claimed by ${ns.claim.name}`, after(...releaseLines(core, ns.claim)));
  ns.claim = claim;
  claim.namespace = ns;
}

function release(core: NdCore, claim: NdClaim): void {
  detach(claim);
  if (claim.region.seeds[claim.type] !== claim) return removeClaim(core, claim);
  // The seed forgets all but its alignment.
  claim.uuid = undefined;
  if (claim.type === 'btt') claim.lbaSize = 0;
  else claim.mode = 'none';
}
