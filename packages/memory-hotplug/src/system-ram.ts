/**
 * System RAM in the resource tree: found at any depth, claimed for memory that is added, given back when it is removed.
 * Mirrors kernel/resource.c: walk_system_ram_range, release_mem_region_adjustable, merge_system_ram_resource; and mm/memory_hotplug.c:
 * register_memory_resource.
 */
import { BugError, KernelError, createResource, hex, releaseResource, requestRegion, roundUp, tryRequestResource, walkResources } from '@holdfast/lib';
import type { Resource } from '@holdfast/lib';

/** Is there a byte of `[start, end)` that no System RAM holds? */
export function hasHoles(iomem: Resource, start: number, end: number): boolean {
  let at = start;
  for (const { resource } of walkResources(iomem)) {
    if (!resource.systemRam || resource.end < at || resource.start >= end) continue;
    if (resource.start > at) return true;
    at = resource.end + 1;
  }
  return at < end;
}

/** Claim a range for memory that is added, below whatever holds it and is not busy. @throws KernelError EEXIST if it is taken. */
export function registerMemoryResource(iomem: Resource, start: number, sizeBytes: number, name: string): Resource {
  try {
    const resource = requestRegion(iomem, start, sizeBytes, name);
    resource.systemRam = true;
    return resource;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new KernelError('EEXIST', error.message, { cause: error, nearest: [{ value: hex(freeAbove(iomem, start, sizeBytes)) }] });
  }
}

/** The next multiple of its size above `start` where nothing has a part of so many bytes. */
function freeAbove(iomem: Resource, start: number, sizeBytes: number): number {
  let at = start;
  for (const { resource, depth } of walkResources(iomem)) {
    if (depth === 0 && resource.start < at + sizeBytes && resource.end >= at) at = roundUp(resource.end + 1, sizeBytes);
  }
  return at;
}

/** Make one resource of this and the like-named System RAM that touches it. */
export function mergeSystemRam(resource: Resource): void {
  const siblings = resource.parent!.children;
  const mates = (other: Resource | undefined): other is Resource =>
    other !== undefined && other.systemRam && other.busy && other.name === resource.name && other.children.length === 0;
  const index = siblings.indexOf(resource);
  const [before, after] = [siblings[index - 1], siblings[index + 1]];
  if (mates(after) && after.start === resource.end + 1) {
    releaseResource(after);
    resource.end = after.end;
  }
  if (mates(before) && before.end + 1 === resource.start) {
    releaseResource(before);
    resource.start = before.start;
  }
}

/** Give `[start, end]` back, cutting the busy System RAM that holds it. */
export function releaseMemoryResource(iomem: Resource, start: number, end: number): void {
  const holder = [...walkResources(iomem)]
    .map(({ resource }) => resource)
    .findLast((resource) => resource.systemRam && resource.busy && resource.start <= start && resource.end >= end);
  if (!holder) throw new BugError(`no System RAM at ${hex(start)}-${hex(end)}`);
  const { parent, name, start: first, end: last } = holder;
  releaseResource(holder);
  for (const [from, to] of [[first, start - 1], [end + 1, last]] as const) {
    if (from <= to) tryRequestResource(parent!, createResource({ name, start: from, end: to, busy: true, systemRam: true }));
  }
}
