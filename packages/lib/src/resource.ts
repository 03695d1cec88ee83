/**
 * The resource tree: who claims which physical range, as /proc/iomem shows it. Mirrors kernel/resource.c.
 *
 * Invariant: siblings are disjoint and sorted, and a child lies inside its parent. `end` is inclusive, as in Linux.
 */
import { BugError, KernelError } from './kernel-error.js';
import { memRange } from './hex.js';

/** What a resource describes beyond its name (IORES_DESC_*). */
export type ResourceDesc =
  | 'none' | 'acpi-tables' | 'acpi-nv-storage' | 'persistent-memory' | 'persistent-memory-legacy' | 'reserved' | 'soft-reserved' | 'crash-kernel';

export interface Resource {
  name: string;
  start: number;
  /** Inclusive. */
  end: number;
  /** A busy resource refuses {@link requestRegion} inside it. */
  busy: boolean;
  /** IORESOURCE_SYSTEM_RAM. */
  systemRam: boolean;
  desc: ResourceDesc;
  parent: Resource | undefined;
  /** Sorted by start. */
  readonly children: Resource[];
}

export interface ResourceSpec {
  name: string;
  start: number;
  /** Inclusive. */
  end: number;
  busy?: boolean;
  systemRam?: boolean;
  desc?: ResourceDesc;
}

/** x86-64 has at most 52 physical address bits. */
const MAX_PHYS_ADDR = 2 ** 52 - 1;

export function createResource(spec: ResourceSpec): Resource {
  const { name, start, end, busy = false, systemRam = false, desc = 'none' } = spec;
  return { name, start, end, busy, systemRam, desc, parent: undefined, children: [] };
}

/** The root of /proc/iomem. */
export function createIomem(endInclusive = MAX_PHYS_ADDR): Resource {
  return createResource({ name: 'PCI mem', start: 0, end: endInclusive });
}

/** Put a resource into a free gap directly below `parent`; returns the one in the way, if any (__request_resource). */
export function tryRequestResource(parent: Resource, resource: Resource): Resource | undefined {
  if (resource.end < resource.start || resource.start < parent.start || resource.end > parent.end) return parent;
  const index = firstEndingAtOrAfter(parent.children, resource.start);
  const next = parent.children[index];
  if (next && next.start <= resource.end) return next;
  parent.children.splice(index, 0, resource);
  resource.parent = parent;
  return undefined;
}

/** As {@link tryRequestResource}. @throws KernelError EBUSY, naming what is in the way. */
export function requestResource(parent: Resource, resource: Resource): void {
  const conflict = tryRequestResource(parent, resource);
  if (conflict) {
    throw new KernelError(
      'EBUSY',
      `${resource.name} ${memRange(resource.start, resource.end)} conflicts with ${conflict.name} ${memRange(conflict.start, conflict.end)}`,
    );
  }
}

/**
 * Insert a resource wherever it fits: below the smallest resource that holds it, and above the ones it holds (__insert_resource).
 * Returns the resource it partly overlaps, and inserts nothing then.
 */
export function tryInsertResource(parent: Resource, resource: Resource): Resource | undefined {
  for (;;) {
    const first = tryRequestResource(parent, resource);
    if (!first) return undefined;
    if (first === parent) return first;
    const around = first.start <= resource.start && first.end >= resource.end;
    const equal = first.start === resource.start && first.end === resource.end;
    if (around && !equal) {
      parent = first;
      continue;
    }
    return adoptChildren(parent, first, resource);
  }
}

/** As {@link tryInsertResource}. @throws KernelError EBUSY, naming the resource it partly overlaps. */
export function insertResource(parent: Resource, resource: Resource): void {
  const conflict = tryInsertResource(parent, resource);
  if (conflict) {
    throw new KernelError(
      'EBUSY',
      `${resource.name} ${memRange(resource.start, resource.end)} partly overlaps ${conflict.name} ${memRange(conflict.start, conflict.end)}`,
    );
  }
}

/** Insert a resource, growing it over each one that it partly overlaps (insert_resource_expand_to_fit). */
export function insertResourceExpandToFit(root: Resource, resource: Resource): void {
  if (resource.parent) return;
  for (;;) {
    const conflict = tryInsertResource(root, resource);
    if (!conflict || conflict === root) return;
    resource.start = Math.min(resource.start, conflict.start);
    resource.end = Math.max(resource.end, conflict.end);
  }
}

/** Reserve the free pieces of `[start, end]` below `root`, each as a resource of its own (reserve_region_with_split). */
export function reserveRegionWithSplit(root: Resource, spec: ResourceSpec): void {
  let at = Math.max(spec.start, root.start);
  const last = Math.min(spec.end, root.end);
  const reserve = (start: number, end: number): void => {
    if (start <= end) requestResource(root, createResource({ ...spec, start, end }));
  };
  for (const child of [...root.children]) {
    if (child.end < at || child.start > last) continue;
    reserve(at, child.start - 1);
    at = child.end + 1;
  }
  reserve(at, last);
}

/**
 * Claim a range for a driver, below whatever non-busy resource holds it (__request_region, request_mem_region).
 * @throws KernelError EBUSY if a busy resource, or one that it partly overlaps, is in the way.
 */
export function requestRegion(root: Resource, start: number, sizeBytes: number, name: string): Resource {
  const resource = createResource({ name, start, end: start + sizeBytes - 1, busy: true });
  let parent = root;
  for (;;) {
    const conflict = tryRequestResource(parent, resource);
    if (!conflict) return resource;
    if (conflict === parent || conflict.busy) {
      throw new KernelError(
        'EBUSY',
        `could not reserve ${memRange(resource.start, resource.end)} for ${name}: ${conflict.name} ${memRange(conflict.start, conflict.end)} is in the way`,
      );
    }
    parent = conflict;
  }
}

/** Take a resource out of the tree; its children go with it (release_resource). */
export function releaseResource(resource: Resource): void {
  const { parent } = resource;
  if (!parent) throw new BugError(`${resource.name} is not in the resource tree`);
  parent.children.splice(parent.children.indexOf(resource), 1);
  resource.parent = undefined;
}

/** Take a resource out and leave its children in its place (remove_resource). */
export function removeResource(resource: Resource): void {
  const { parent } = resource;
  if (!parent) throw new BugError(`${resource.name} is not in the resource tree`);
  for (const child of resource.children) child.parent = parent;
  parent.children.splice(parent.children.indexOf(resource), 1, ...resource.children);
  resource.children.length = 0;
  resource.parent = undefined;
}

/** Every resource below `root`, parents first, with its depth (0 for the children of `root`). */
export function* walkResources(root: Resource, depth = 0): Generator<{ resource: Resource; depth: number }> {
  for (const child of root.children) {
    yield { resource: child, depth };
    yield* walkResources(child, depth + 1);
  }
}

/** How much of `[start, end]` the System RAM resources cover: none, all, or some (region_intersects). */
export function regionIntersectsSystemRam(root: Resource, start: number, end: number): 'disjoint' | 'intersects' | 'mixed' {
  let ram = false;
  let other = false;
  for (const child of root.children) {
    if (child.end < start || child.start > end) continue;
    if (child.systemRam) ram = true;
    else other = true;
    if (child.systemRam && (child.start > start || child.end < end)) other = true;
  }
  if (!ram) return 'disjoint';
  return other ? 'mixed' : 'intersects';
}

/** What /proc/iomem prints: two blanks a level, at most five levels, at least eight digits a number. */
export function formatIomem(root: Resource): string {
  const digits = (value: number): string => value.toString(16).padStart(8, '0');
  let text = '';
  for (const { resource, depth } of walkResources(root)) {
    if (depth >= 5) continue;
    text += `${'  '.repeat(depth)}${digits(resource.start)}-${digits(resource.end)} : ${resource.name}\n`;
  }
  return text;
}

function firstEndingAtOrAfter(children: readonly Resource[], start: number): number {
  let low = 0;
  let high = children.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (children[middle]!.end < start) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Replace `first` and the siblings behind it that `resource` holds by `resource`; returns one that it cuts, if any. */
function adoptChildren(parent: Resource, first: Resource, resource: Resource): Resource | undefined {
  const index = parent.children.indexOf(first);
  let count = 0;
  for (const sibling of parent.children.slice(index)) {
    if (sibling.start > resource.end) break;
    if (sibling.start < resource.start || sibling.end > resource.end) return sibling;
    count++;
  }
  const adopted = parent.children.splice(index, count, resource);
  for (const child of adopted) child.parent = resource;
  resource.children.push(...adopted);
  resource.parent = parent;
  return undefined;
}
