/**
 * Into which zone memory goes. Mirrors mm/memory_hotplug.c: zone_for_pfn_range, default_zone_for_pfn, auto_movable_zone_for_pfn.
 *
 * Differs from Linux: one set of rules, that of 5.15 and later; before 4.13 a zone's edge had to touch the memory.
 */
import { type NodeId, PAGES_PER_SECTION, type Pfn, type Range, roundDown } from '@holdfast/lib';
import type { MemoryGroup } from './memory-group.js';
import { ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL, type ZoneView } from './memory-onliner.js';
import type { HotplugPolicy, OnlineType } from './policy.js';

export interface ZoneChoice {
  readonly range: Range<Pfn>;
  readonly nid: NodeId;
  readonly type: OnlineType;
  readonly group?: MemoryGroup | undefined;
}

export interface ZoneChoiceNeeds {
  readonly zones: readonly ZoneView[];
  readonly policy: HotplugPolicy;
  /** All groups that are there. */
  readonly groups: Iterable<MemoryGroup>;
  /** The zone index that a section of RAM is online in, if it is. */
  readonly onlineZoneOf: (frame: Pfn) => number | undefined;
}

/** The index of the zone of the node that the memory would go to. */
export function zoneForPfnRange(choice: ZoneChoice, needs: ZoneChoiceNeeds): number {
  if (choice.type === 'online_kernel') return kernelZone(choice, needs.zones);
  if (choice.type === 'online_movable') return ZONE_MOVABLE;
  return needs.policy.onlinePolicy === 'auto-movable' ? autoMovableZone(choice, needs) : contiguousZone(choice, needs);
}

/** The zone below Normal that the range lies in, if any: an empty zone never counts. */
function kernelZone({ range, nid }: ZoneChoice, zones: readonly ZoneView[]): number {
  return [ZONE_DMA, ZONE_DMA32].find((index) => zoneIntersects(zones, nid, index, range)) ?? ZONE_NORMAL;
}

/** Go on with the zone around the range; if there is none, or two, to a kernel zone. */
function contiguousZone(choice: ZoneChoice, { zones, policy }: ZoneChoiceNeeds): number {
  const kernel = kernelZone(choice, zones);
  const inKernel = zoneIntersects(zones, choice.nid, kernel, choice.range);
  const inMovable = zoneIntersects(zones, choice.nid, ZONE_MOVABLE, choice.range);
  if (inKernel !== inMovable) return inKernel ? kernel : ZONE_MOVABLE;
  return policy.movableNode ? ZONE_MOVABLE : kernel;
}

function zoneIntersects(zones: readonly ZoneView[], nid: NodeId, index: number, { start, end }: Range): boolean {
  const zone = zones.find((one) => one.nid === nid && one.index === index);
  return zone !== undefined && zone.spanned > 0 && zone.startPfn < end && zone.startPfn + zone.spanned > start;
}

/** Movable, if all that still belongs together could go there and the ratio hold. */
function autoMovableZone(choice: ZoneChoice, needs: ZoneChoiceNeeds): number {
  const wanted = needs.policy.autoMovableRatio > 0 ? pagesThatMustFollow(choice, needs) : undefined;
  if (wanted === undefined) return kernelZone(choice, needs.zones);
  const fits =
    canOnlineMovable(choice, needs, wanted, undefined) && (!needs.policy.autoMovableNumaAware || canOnlineMovable(choice, needs, wanted, choice.nid));
  return fits ? ZONE_MOVABLE : kernelZone(choice, needs.zones);
}

/** Frames that would have to go to Movable with these; undefined if a part of them is a kernel zone's already. */
function pagesThatMustFollow({ range, group }: ZoneChoice, { onlineZoneOf }: ZoneChoiceNeeds): number | undefined {
  const nrPages = range.end - range.start;
  if (group?.size.kind === 'static') return group.presentKernel > 0 ? undefined : group.size.maxPages - group.presentMovable;
  if (!group || group.size.unitPages === nrPages) return nrPages;
  const { unitPages } = group.size;
  const start = roundDown(range.start, unitPages);
  let online = 0;
  for (let frame = start; frame < start + unitPages; frame += PAGES_PER_SECTION) {
    const zone = onlineZoneOf(frame as Pfn);
    if (zone === undefined) continue;
    if (zone !== ZONE_MOVABLE) return undefined;
    online += PAGES_PER_SECTION;
  }
  return unitPages - online;
}

/** Does the ratio of movable memory to the kernel's boot memory hold with `nrPages` more, in all nodes or in one? */
function canOnlineMovable({ group }: ZoneChoice, { zones, policy, groups }: ZoneChoiceNeeds, nrPages: number, nid: NodeId | undefined): boolean {
  const ratio = policy.autoMovableRatio;
  const counted = zones.filter((zone) => zone.present > 0 && (nid === undefined || zone.nid === nid));
  let movable = counted.reduce((sum, zone) => sum + (zone.index === ZONE_MOVABLE ? zone.present : 0), 0);
  let kernelEarly = counted.reduce((sum, zone) => sum + (zone.index === ZONE_MOVABLE ? 0 : zone.presentEarly), 0);
  // Kernel memory of a dynamic group allows for movable memory of that group only: leave the others with what they need.
  let required = 0;
  for (const other of groups) {
    if (other.size.kind !== 'dynamic' || other === group || (nid !== undefined && other.nid !== nid)) continue;
    required += Math.max(0, Math.floor((other.presentMovable * 100) / ratio) - other.presentKernel);
    movable -= other.presentMovable;
  }
  if (kernelEarly <= required) return false;
  kernelEarly -= required;
  if (group?.size.kind === 'dynamic') kernelEarly += group.presentKernel;
  return movable + nrPages <= Math.floor((ratio * kernelEarly) / 100);
}
