/**
 * Memory blocks: /sys/devices/system/memory, and how they go online and offline.
 * Mirrors drivers/base/memory.c, drivers/base/node.c: link_mem_sections, and mm/memory_hotplug.c: online_pages, offline_pages.
 *
 * Invariant: there is a block for each group of sections that hold memory, at boot or since; device memory has none. A block is online in
 * one zone, or, only if boot made it so, in several: such a block never goes offline.
 */
import { KernelError, PAGES_PER_SECTION, PAGE_SIZE, SECTION_SIZE, hex, parseBool, parseU64, readOnly, readWrite, roundUp } from '@holdfast/lib';
import type { Attribute, NearestRequest, NodeId, Pfn, Range, Resource } from '@holdfast/lib';
import { EARLY, type MemoryBlock, earlyBlocks } from './early-blocks.js';
import type { MemoryGroup } from './memory-group.js';
import type { MemoryNotifier } from './memory-notifier.js';
import { type BlockFrames, type MemoryOnliner, ZONE_MOVABLE, type ZoneId } from './memory-onliner.js';
import { type ZoneChoice, type ZoneChoiceNeeds, zoneForPfnRange } from './online-policy.js';
import type { HotplugPolicy, OnlineType } from './policy.js';
import { ONLINE_WORDS } from './policy.js';
import { createRunMap } from './run-map.js';
import { createRunSet } from './run-set.js';
import type { Sections } from './sparse.js';
import { hasHoles } from './system-ram.js';

/** Frames `[start, end)` whose struct pages boot initialised for a node: its RAM, and holes that were given to it. Sorted, disjoint. */
export interface PageRun extends Range<Pfn> {
  readonly nid: NodeId;
}

export interface MemoryBlockDeps {
  sections: Sections;
  /** Bytes, from probeMemoryBlockSize. */
  blockSize: number;
  pageRuns: readonly PageRun[];
  onliner: MemoryOnliner;
  policy: HotplugPolicy;
  /** The root of /proc/iomem: a block with holes in its System RAM cannot go offline. */
  iomem: Resource;
  /** The groups whose blocks are there. */
  groups: ReadonlySet<MemoryGroup>;
  /** Told of what goes online and offline, in order. */
  notifiers: ReadonlySet<MemoryNotifier>;
  /** A block's worth of memory is said to be at this address: add it. @throws KernelError */
  probe(addr: number): void;
}

export interface MemoryBlocks {
  readonly blockSize: number;
  /** How many blocks there are. */
  readonly count: number;
  /** Their numbers, ascending: N of `memoryN`, which is its address divided by the block size. */
  numbers(): IterableIterator<number>;
  has(nr: number): boolean;
  /** The nodes `memoryN` is linked with, ascending. */
  nodes(nr: number): readonly NodeId[];
  isOnline(nr: number): boolean;
  /** The files of `memoryN`. */
  attributes(nr: number): Attribute[];
  /** The files beside the blocks. */
  directoryAttributes(): Attribute[];
}

/** What a block is added with. */
export interface BlockSpec {
  readonly nid: NodeId;
  readonly group: MemoryGroup | undefined;
  /** Frames at its start that hold its own struct pages. */
  readonly nrVmemmap: number;
  /** Frames at its end that are never free; a multiple of 1024. */
  readonly nrKept?: number;
}

/** The same for those who add and remove memory. Block numbers `[start, end)`. */
export interface MemoryBlockControl extends MemoryBlocks {
  /** Of a block that is there. */
  block(nr: number): MemoryBlock;
  /** Make blocks, offline (create_memory_block_devices). */
  add(range: Range, spec: BlockSpec): void;
  /** Take away blocks that are offline (remove_memory_block_devices). */
  remove(range: Range): void;
  /**
   * Returns false if it is online already (device_online); then a `type` that was asked for stays the block's wish for the next time that it
   * goes online and nobody says how (mem->online_type). @throws KernelError
   */
  online(nr: number, type?: OnlineType): boolean;
  /** Returns false if it is offline already (device_offline). @throws KernelError EINVAL, EBUSY */
  offline(nr: number): boolean;
}

export function createMemoryBlocks(deps: MemoryBlockDeps): MemoryBlockControl {
  const { sections, blockSize, policy, onliner } = deps;
  const sectionsPerBlock = blockSize / SECTION_SIZE;
  const pagesPerBlock = sectionsPerBlock * PAGES_PER_SECTION;
  const present = createRunSet();
  for (const { start, end } of sections.early) present.add(Math.floor(start / sectionsPerBlock), Math.ceil(end / sectionsPerBlock));
  const early = earlyBlocks(deps.pageRuns, onliner.zones(), pagesPerBlock);
  /** Blocks that are not as boot left them. */
  const changed = createRunMap<MemoryBlock>(sameBlock);

  const has = (nr: number): boolean => present.has(nr);
  /** The block that is on its way offline. */
  let leaving: number | undefined;
  /** How blocks wish to go online, of those that were asked while they were. */
  const wishes = new Map<number, OnlineType>();
  const block = (nr: number): MemoryBlock => {
    const found = changed.get(nr) ?? early.block(nr);
    return nr === leaving ? { ...found, state: 'going-offline' } : found;
  };
  const set = (nr: number, value: MemoryBlock): void => changed.set(nr, nr + 1, value);
  const rangeOf = (nr: number): Range<Pfn> => ({ start: (nr * pagesPerBlock) as Pfn, end: ((nr + 1) * pagesPerBlock) as Pfn });
  const framesOf = (nr: number, { origin, nrVmemmap, nrKept }: MemoryBlock): BlockFrames => ({ ...rangeOf(nr), nrVmemmap, nrKept, early: origin === EARLY });

  const choiceNeeds = (): ZoneChoiceNeeds => ({
    zones: onliner.zones(),
    policy,
    groups: deps.groups,
    onlineZoneOf: (frame) => {
      const nr = Math.floor(frame / pagesPerBlock);
      return has(nr) && block(nr).state === 'online' ? block(nr).zone?.index : undefined;
    },
  });
  const choose = (nr: number, type: OnlineType): ZoneId => {
    const { nid, group } = block(nr);
    const choice: ZoneChoice = { range: rangeOf(nr), nid, type, group };
    return { nid, index: zoneForPfnRange(choice, choiceNeeds()) };
  };
  const account = (group: MemoryGroup | undefined, { index }: ZoneId, nrPages: number): void => {
    if (group && index === ZONE_MOVABLE) group.presentMovable += nrPages;
    else if (group) group.presentKernel += nrPages;
  };
  const framesHaveHoles = ({ start, end }: Range<Pfn>): boolean => hasHoles(deps.iomem, start * PAGE_SIZE, end * PAGE_SIZE);
  /** The nearest block that has what this one lacks: movable pages in one zone, and no holes. */
  const offlineInstead = (nr: number): NearestRequest[] => {
    const fits = (other: number): boolean => {
      const { state, zone } = block(other);
      return state === 'online' && zone?.index === ZONE_MOVABLE && !framesHaveHoles(framesOf(other, block(other)));
    };
    for (let away = 1; away <= NEARBY; away++) {
      const found = [nr - away, nr + away].find((other) => has(other) && fits(other));
      if (found !== undefined) return [{ instead: `echo 0 > ${DIRECTORY}/memory${found}/online` }];
    }
    return [];
  };
  const zoneName = ({ nid, index }: ZoneId): string => onliner.zones().find((zone) => zone.nid === nid && zone.index === index)?.name ?? 'none';

  const control: MemoryBlockControl = {
    blockSize,
    get count() {
      return present.runs.reduce((sum, { start, end }) => sum + end - start, 0);
    },
    *numbers() {
      for (const { start, end } of present.runs) for (let nr = start; nr < end; nr++) yield nr;
    },
    has,
    block,
    nodes: (nr) => (block(nr).origin === EARLY ? early.nodes(nr) : [block(nr).nid]),
    isOnline: (nr) => block(nr).state === 'online',
    attributes: (nr) => blockAttributes(nr, control, (types) => [...new Set(types.map((type) => zoneName(choose(nr, type))))]),
    directoryAttributes: () => [
      readOnly('block_size_bytes', () => blockSize.toString(16)),
      readWrite('auto_online_blocks', () => policy.autoOnline, (text) => {
        policy.autoOnline = onlineWord(text, ONLINE_WORDS.map((value) => ({ value })));
      }),
      { name: 'probe', mode: 0o200, store: (text) => deps.probe(probeAddress(text, blockSize)) },
    ],
    add({ start, end }, { nid, group, nrVmemmap, nrKept = 0 }) {
      changed.set(start, end, { origin: 'added', state: 'offline', nid, zone: undefined, group, nrVmemmap, nrKept });
      present.add(start, end);
    },
    remove({ start, end }) {
      changed.set(start, end, undefined);
      present.remove(start, end);
      for (const nr of wishes.keys()) if (nr >= start && nr < end) wishes.delete(nr);
    },
    online(nr, type) {
      const old = block(nr);
      if (old.state === 'online') {
        if (type !== undefined) wishes.set(nr, type);
        return false;
      }
      const wish = type ?? wishes.get(nr) ?? 'online';
      wishes.delete(nr);
      const zone = choose(nr, wish);
      const frames = framesOf(nr, old);
      for (const notifier of deps.notifiers) notifier.goingOnline?.(frames);
      const offline = [...deps.notifiers].flatMap((notifier) => notifier.notPlugged?.(frames) ?? []);
      sections.setOnline(frames, true);
      onliner.onlinePages({ ...frames, offline }, zone);
      account(old.group, zone, pagesPerBlock);
      set(nr, { ...old, state: 'online', zone: { ...zone, name: zoneName(zone) } });
      for (const notifier of deps.notifiers) notifier.online?.(frames, zone);
      return true;
    },
    offline(nr) {
      const old = block(nr);
      if (old.state === 'offline') return false;
      if (!old.zone) throw new KernelError('EINVAL', `memory${nr} lies in more than one zone or node`, { nearest: offlineInstead(nr) });
      const frames = framesOf(nr, old);
      if (framesHaveHoles(frames)) throw new KernelError('EINVAL', `memory${nr} has holes`, { nearest: offlineInstead(nr) });
      leaving = nr;
      try {
        onliner.offlinePages(frames, old.zone);
      } finally {
        leaving = undefined;
      }
      sections.setOnline(frames, false);
      account(old.group, old.zone, -pagesPerBlock);
      set(nr, { ...old, state: 'offline', zone: undefined });
      for (const notifier of deps.notifiers) notifier.offline?.(frames);
      return true;
    },
  };
  return control;
}

function sameBlock(a: MemoryBlock, b: MemoryBlock): boolean {
  return (
    a.origin === b.origin && a.state === b.state && a.nid === b.nid && a.group === b.group && a.nrVmemmap === b.nrVmemmap && a.nrKept === b.nrKept &&
    a.zone?.nid === b.zone?.nid && a.zone?.index === b.zone?.index
  );
}

function blockAttributes(nr: number, blocks: MemoryBlockControl, zonesFor: (types: OnlineType[]) => string[]): Attribute[] {
  return [
    readOnly('phys_index', () => nr.toString(16).padStart(8, '0')),
    readWrite('state', () => blocks.block(nr).state, (text) => {
      const word = onlineWord(text, blocks.isOnline(nr) ? [{ instead: `echo 1 > ${DIRECTORY}/memory${nr}/online` }] : ONLINING);
      const done = word === 'offline' ? blocks.offline(nr) : blocks.online(nr, word);
      if (!done) {
        throw new KernelError('EINVAL', `memory${nr} is ${word === 'offline' ? 'offline' : 'online'} already`, {
          nearest: [{ instead: `echo ${word === 'offline' ? 0 : 1} > ${DIRECTORY}/memory${nr}/online` }],
        });
      }
    }),
    // Unlike `state`, to write what it is already is no error here.
    readWrite('online', () => (blocks.isOnline(nr) ? 1 : 0), (text) => {
      if (parseBool(text)) blocks.online(nr);
      else blocks.offline(nr);
    }),
    readOnly('removable', () => 1),
    readOnly('phys_device', () => 0),
    readOnly('valid_zones', () => {
      const { state, zone } = blocks.block(nr);
      return state === 'online' ? (zone?.name ?? 'none') : zonesFor(['online', 'online_kernel', 'online_movable']).join(' ');
    }),
  ];
}

function probeAddress(text: string, blockSize: number): number {
  const addr = parseU64(text);
  if (addr % BigInt(blockSize) !== 0n) {
    throw new KernelError('EINVAL', `probe ${hex(addr)}: expected a multiple of the block size ${hex(blockSize)}`, {
      nearest: [{ value: hex(roundUp(Number(addr), blockSize)) }],
    });
  }
  return Number(addr);
}

const DIRECTORY = '/sys/devices/system/memory';

/** How many blocks on each side somebody who is refused hears of. */
const NEARBY = 4096;
const ONLINING: readonly NearestRequest[] = [{ value: 'online' }, { value: 'online_kernel' }, { value: 'online_movable' }];

function onlineWord(text: string, nearest: readonly NearestRequest[]): (typeof ONLINE_WORDS)[number] {
  const word = ONLINE_WORDS.find((each) => each === text.replace(/\n$/, ''));
  if (!word) throw new KernelError('EINVAL', `'${text.trimEnd()}': expected one of ${ONLINE_WORDS.join(', ')}`, { nearest });
  return word;
}
