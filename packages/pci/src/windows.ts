/**
 * Places for BARs: the windows of the host bridge, claiming what firmware assigned, and assigning the rest.
 * Mirrors arch/x86/pci/i386.c: pcibios_allocate_dev_resources; drivers/pci/setup-bus.c: __dev_sort_resources, assign_requested_resources_sorted;
 * drivers/pci/setup-res.c: pci_claim_resource, _pci_assign_resource; drivers/pci/bus.c: pci_bus_alloc_resource.
 *
 * Invariant: a BAR with a resource lies inside a window, aligned to its size, and overlaps no other resource.
 */
import { KERN, type Printk, type Resource, createResource, releaseResource, roundUp, tryRequestResource } from '@holdfast/lib';
import { formatBar, writeBar } from './bar.js';
import type { FoundFunction } from './probe.js';
import type { PciBar } from './pci-device.js';

/** Addresses that the host bridge passes on to bus 0: a resource that is in its tree already. */
export interface PciWindow {
  readonly kind: 'io' | 'mem';
  readonly resource: Resource;
}

type BarOwner = Pick<FoundFunction, 'name' | 'bars' | 'config'>;

const FOUR_GIB = 2 ** 32;
/** The first ports belong to the chipset. */
const PCIBIOS_MIN_IO = 0x1000;

/** `[mem 0xc0000000-0xfebfffff window]` */
export function formatWindow({ kind, resource: { start, end } }: PciWindow): string {
  const digits = (value: number): string => `0x${value.toString(16).padStart(kind === 'io' ? 4 : 8, '0')}`;
  return `[${kind === 'io' ? 'io  ' : 'mem '}${digits(start)}-${digits(end)} window]`;
}

/** Keep what firmware assigned, as far as it can be so; the others become unassigned. */
export function claimBars(device: BarOwner, windows: readonly PciWindow[], printk: Printk): void {
  for (const bar of device.bars) {
    if (bar.resource || bar.start === undefined) continue;
    // No register that works holds an address that its size does not divide.
    if (bar.start === 0 || bar.start % bar.sizeBytes !== 0) {
      bar.start = undefined;
      continue;
    }
    const resource = createResource({ name: device.name, start: bar.start, end: bar.start + bar.sizeBytes - 1 });
    const window = windows.find(({ kind, resource: { start, end } }) => kind === bar.kind && start <= resource.start && resource.end <= end);
    const conflict = window && tryRequestResource(window.resource, resource);
    if (window && !conflict) {
      bar.resource = resource;
      continue;
    }
    const why = conflict ? `address conflict with ${conflict.name} ${formatConflict(conflict)}` : 'no compatible bridge window';
    printk(`pci ${device.name}: can't claim BAR ${bar.index} ${formatBar(bar)}: ${why}`, KERN.info);
    bar.start = undefined;
  }
}

function formatConflict({ start, end }: Resource): string {
  const digits = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
  return `[mem ${digits(start)}-${digits(end)}]`;
}

/** Give every BAR without a place one, those of the largest alignment first. The ROM is not needed for anything here, but has its place, too. */
export function assignBars(devices: readonly BarOwner[], windows: readonly PciWindow[], printk: Printk): void {
  const wanting = devices.flatMap((device) => device.bars.filter(({ resource }) => !resource).map((bar) => ({ device, bar })));
  wanting.sort((a, b) => b.bar.sizeBytes - a.bar.sizeBytes);
  for (const { device, bar } of wanting) assignBar(device, bar, windows, printk);
}

function assignBar(device: BarOwner, bar: PciBar, windows: readonly PciWindow[], printk: Printk): void {
  const say: Printk = (text, level) => printk(`pci ${device.name}: ${text}`, level);
  bar.start = undefined;
  const resource = allocate(device.name, bar, windows);
  if (!resource) {
    say(`BAR ${bar.index}: no space for ${formatBar(bar)}`);
    say(`BAR ${bar.index}: failed to assign ${formatBar(bar)}`);
    return;
  }
  bar.resource = resource;
  bar.start = resource.start;
  say(`BAR ${bar.index}: assigned ${formatBar(bar)}`);
  writeBar(device.config, bar, resource.start);
}

/** A 64-bit BAR goes above 4 GiB if it can; a 32-bit one must not. */
function allocate(name: string, bar: PciBar, windows: readonly PciWindow[]): Resource | undefined {
  const usable = windows.filter(({ kind }) => kind === bar.kind);
  const least = bar.kind === 'io' ? PCIBIOS_MIN_IO : 1;
  if (bar.is64) {
    for (const { resource } of usable) {
      const high = allocateIn(resource, name, bar.sizeBytes, FOUR_GIB, Infinity);
      if (high) return high;
    }
  }
  for (const { resource } of usable) {
    const found = allocateIn(resource, name, bar.sizeBytes, least, bar.is64 ? Infinity : FOUR_GIB);
    if (found) return found;
  }
  return undefined;
}

/** The lowest free and aligned place of `[least, limit)` in a window (allocate_resource). */
function allocateIn(window: Resource, name: string, sizeBytes: number, least: number, limit: number): Resource | undefined {
  let at = roundUp(Math.max(window.start, least), sizeBytes);
  for (const child of window.children) {
    if (child.end < at) continue;
    if (at + sizeBytes <= child.start) break;
    at = roundUp(child.end + 1, sizeBytes);
  }
  if (at + sizeBytes > Math.min(window.end + 1, limit)) return undefined;
  const resource = createResource({ name, start: at, end: at + sizeBytes - 1 });
  return tryRequestResource(window, resource) ? undefined : resource;
}

/** Take a device's BARs out of the tree (pci_destroy_dev). */
export function releaseBars({ bars }: Pick<BarOwner, 'bars'>): void {
  for (const bar of bars) {
    if (bar.resource?.parent) releaseResource(bar.resource);
    bar.resource = undefined;
  }
}
