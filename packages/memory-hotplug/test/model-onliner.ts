/** Zones as sets of frames, and nothing more: the span is from the first to the last. Frames in `busy` cannot go offline. */
import { KernelError, nodeId, pfn } from '@holdfast/lib';
import type { NodeId } from '@holdfast/lib';
import type { BlockFrames, MemoryOnliner, ZoneId, ZoneView } from '@holdfast/memory-hotplug';

const NAMES = ['DMA', 'DMA32', 'Normal', 'Movable', 'Device'];

export type ModelZone = [nid: number, index: number, start: number, end: number];

export interface ModelOnliner extends MemoryOnliner {
  readonly busy: Set<number>;
  readonly events: string[];
}

export function modelOnliner(boot: readonly ModelZone[], nodes: readonly number[] = [0, 1]): ModelOnliner {
  const ranges = new Map<string, { start: number; end: number; early: boolean }[]>();
  for (const [nid, index, start, end] of boot) ranges.set(`${nid} ${index}`, [{ start, end, early: true }]);
  const of = ({ nid, index }: ZoneId) => ranges.get(`${nid} ${index}`) ?? [];
  const busy = new Set<number>();
  const events: string[] = [];
  return {
    busy,
    events,
    zones: () => nodes.flatMap((nid) => NAMES.map((_, index) => view(nodeId(nid), index, of({ nid: nodeId(nid), index })))),
    onlineNode: (nid) => events.push(`node ${nid}`),
    offlineNode: (nid) => events.push(`node ${nid} has no block left`),
    onlinePages({ start, end, nrVmemmap, early }: BlockFrames, zone: ZoneId) {
      events.push(`+ ${start}-${end} ${NAMES[zone.index]}${nrVmemmap > 0 ? ` but ${nrVmemmap}` : ''}`);
      ranges.set(`${zone.nid} ${zone.index}`, [...of(zone), { start, end, early }]);
    },
    offlinePages({ start, end }: BlockFrames, zone: ZoneId) {
      if ([...busy].some((frame) => frame >= start && frame < end)) throw new KernelError('EBUSY', 'in use');
      events.push(`- ${start}-${end} ${NAMES[zone.index]}`);
      const left = of(zone).flatMap((range) => [
        { ...range, end: Math.min(range.end, start) },
        { ...range, start: Math.max(range.start, end) },
      ]);
      ranges.set(`${zone.nid} ${zone.index}`, left.filter((range) => range.start < range.end));
    },
    removePages: ({ start, end }) => events.push(`removed ${start}-${end}`),
  };
}

function view(nid: NodeId, index: number, ranges: readonly { start: number; end: number; early: boolean }[]): ZoneView {
  const start = ranges.length > 0 ? Math.min(...ranges.map((range) => range.start)) : 0;
  const count = (some: typeof ranges): number => some.reduce((sum, range) => sum + range.end - range.start, 0);
  return {
    nid,
    index,
    name: NAMES[index]!,
    startPfn: pfn(start),
    spanned: ranges.length > 0 ? Math.max(...ranges.map((range) => range.end)) - start : 0,
    present: count(ranges),
    presentEarly: count(ranges.filter(({ early }) => early)),
  };
}
