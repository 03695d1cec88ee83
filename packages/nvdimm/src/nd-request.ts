/**
 * What an administrator can do about a refusal, as lines that write the files of the nd bus (/sys/bus/nd): for KernelError's `nearest`.
 */
import { MIB, type NearestRequest } from '@holdfast/lib';
import type { NdClaim, NdCore, NdNamespace } from './nd-device.js';

/** Bytes: no format fits on less. */
export const MIN_HOST_SIZE = 16 * MIB;

/** Write an attribute of a device. */
export function storeLine(device: string, attribute: string, value: string | number): string {
  return `echo ${value} > /sys/bus/nd/devices/${device}/${attribute}`.replace('echo  >', 'echo >');
}

/** Take a device off its driver. */
export function unbindLine(device: string, driver: string): string {
  return `echo ${device} > /sys/bus/nd/drivers/${driver}/unbind`;
}

/** Give a device to a driver. */
export function bindLine(device: string, driver: string): string {
  return `echo ${device} > /sys/bus/nd/drivers/${driver}/bind`;
}

/** The same request after a line. */
export function after(...lines: readonly string[]): { readonly nearest: readonly NearestRequest[] } {
  return { nearest: [{ first: lines.join(' && ') }] };
}

/** One of these values in place of the one that was written. */
export function values(...choices: readonly (string | number)[]): { readonly nearest: readonly NearestRequest[] } {
  return { nearest: choices.map((value) => ({ value })) };
}

/** May the label's word on who holds the namespace be met by this claim? */
export function mayHold({ type }: NdClaim, { claimClass }: NdNamespace): boolean {
  return claimClass === 'none' || (claimClass === 'btt2' ? 'btt' : claimClass) === type;
}

/** The namespaces of its region that a claim could hold as they are. */
export function idleNamespaces(claim: NdClaim): string[] {
  return claim.region.namespaces.filter((ns) => !ns.claim && mayHold(claim, ns) && ns.sizeBytes >= MIN_HOST_SIZE).map(({ name }) => name);
}

/** How a claim is made to let go of its namespace. */
export function releaseLines({ bus }: Pick<NdCore, 'bus'>, claim: NdClaim): string[] {
  const driver = bus.driverOf(claim);
  return [...(driver ? [unbindLine(claim.name, driver.name)] : []), storeLine(claim.name, 'namespace', '')];
}

/**
 * What a claim still misses before a driver can take it: a UUID, a place for struct pages or the size of sectors, and a namespace, which nothing
 * else may use.
 */
export function setupLines({ bus }: Pick<NdCore, 'bus'>, claim: NdClaim): string[] {
  const [idle] = idleNamespaces(claim);
  const ns = claim.namespace ?? claim.region.namespaces.find(({ name }) => name === idle);
  const user = ns && bus.driverOf(ns);
  return [
    ...(claim.uuid === undefined ? [uuidLine({ bus }, claim)] : []),
    ...(claim.type === 'btt' && claim.lbaSize === 0 ? [storeLine(claim.name, 'sector_size', 4096)] : []),
    ...(claim.type !== 'btt' && claim.mode === 'none' ? [storeLine(claim.name, 'mode', 'pmem')] : []),
    ...(claim.namespace || idle === undefined ? [] : [storeLine(claim.name, 'namespace', idle)]),
    ...(ns && user ? [unbindLine(ns.name, user.name)] : []),
  ];
}

/** Give a device a UUID: any that nobody has. */
export function uuidLine({ bus }: Pick<NdCore, 'bus'>, { name }: { readonly name: string }): string {
  const taken = new Set(bus.devices.map((device) => ('uuid' in device ? device.uuid : undefined)));
  let last = 1;
  const uuid = (): string => `00000000-0000-4000-8000-${last.toString(16).padStart(12, '0')}`;
  while (taken.has(uuid())) last++;
  return storeLine(name, 'uuid', uuid());
}
