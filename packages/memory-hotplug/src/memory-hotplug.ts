/**
 * Memory that comes and goes while the kernel runs. Mirrors mm/memory_hotplug.c: add_memory, add_memory_driver_managed, remove_memory,
 * offline_and_remove_memory, try_online_node.
 *
 * Invariant: memory that was added has a System RAM resource, struct pages, and memory blocks; after it is removed, nothing of these.
 * A call that fails changes nothing, but for a node that came online on the way.
 * Differs from Linux: mem= does not limit what is added during boot; a node that loses its last memory stays online.
 */
import {
  KERN, KernelError, PAGEBLOCK_NR_PAGES, PAGE_SIZE, SECTION_MEMMAP_SIZE, STRUCT_PAGE_SIZE, hex, hex16, isAligned, physToPfn, releaseAtLeast, releaseResource,
} from '@holdfast/lib';
import type { KernelRelease, NodeId, Pfn, PhysAddr, Printk, Range, Resource } from '@holdfast/lib';
import { type BlockSpec, type MemoryBlockControl, type MemoryBlocks, type PageRun, createMemoryBlocks } from './memory-block.js';
import { type MemoryGroup, createStaticGroup } from './memory-group.js';
import type { MemoryNotifier } from './memory-notifier.js';
import type { MemoryOnliner } from './memory-onliner.js';
import type { HotplugPolicy, OnlineType } from './policy.js';
import { type Preallocated, preallocatedAltmap } from './preallocated.js';
import type { PageSource, Sections } from './sparse.js';
import { mergeSystemRam, registerMemoryResource, releaseMemoryResource } from './system-ram.js';
import { createVmemAltmap } from './vmem-altmap.js';

export interface MemoryHotplugDeps {
  readonly sections: Sections;
  /** Struct pages of memory that is added, unless it holds them itself. */
  readonly source: PageSource;
  readonly onliner: MemoryOnliner;
  readonly policy: HotplugPolicy;
  /** Bytes, from probeMemoryBlockSize. */
  readonly blockSize: number;
  readonly pageRuns: readonly PageRun[];
  readonly iomem: Resource;
  /** One past the highest byte that the direct map can reach. */
  readonly maxPhysAddr: number;
  /** The nodes that could ever have memory. */
  readonly possibleNodes: readonly NodeId[];
  /** The node of memory at an address, for those who are not told (memory_add_physaddr_to_nid). */
  addressToNode(addr: PhysAddr): NodeId;
  /** What /sys/firmware/memmap shows of memory that came after boot. Bytes, `[start, end)`. */
  readonly firmwareMap?: FirmwareMap;
  readonly printk: Printk;
  readonly release: KernelRelease;
}

export interface FirmwareMap {
  add(start: number, end: number, type: string): void;
  remove(start: number, end: number, type: string): void;
}

export interface AddMemoryOptions {
  /** The device that all of it is part of. */
  readonly group?: MemoryGroup;
  /** The struct pages shall lie in the block itself: see {@link MemoryHotplug.supportsMemmapOnMemory}. */
  readonly memmapOnMemory?: boolean;
  /**
   * The struct pages lie in this area instead, set aside by the caller: 2 MiB for each section, and nothing else when it is used up. If it
   * lies in the memory that is added, that memory is never free from there to its end; a multiple of 4 MiB.
   */
  readonly preallocated?: Preallocated | undefined;
  /** Make one row of /proc/iomem of this and what it touches. */
  readonly mergeResource?: boolean;
}

export interface MemoryHotplug {
  /** Bytes of a memory block. */
  readonly blockSize: number;
  /** As sysfs shows them. */
  readonly blocks: MemoryBlocks;
  /** The groups that have memory now. */
  readonly groups: ReadonlySet<MemoryGroup>;
  /**
   * Add `[start, start + sizeBytes)` as memory of a node, in whole memory blocks, which are then offline, or, with memhp_default_state= or
   * auto_online_blocks, online.
   * @throws KernelError EINVAL if it is not of whole blocks or the node is impossible, EEXIST if something is there, E2BIG beyond the direct
   * map, ENOMEM without room for struct pages.
   */
  addMemory(nid: NodeId, start: number, sizeBytes: number, options?: AddMemoryOptions): void;
  /**
   * The same for a driver, which will find it again at each boot: `name` is `System RAM (driver)`. It is a group of its own unless one is
   * given. @throws KernelError EINVAL for another name
   */
  addMemoryDriverManaged(nid: NodeId, start: number, sizeBytes: number, name: string, options?: AddMemoryOptions): void;
  /** Remove memory that is offline. @throws KernelError EBUSY if a block is online, EINVAL if a block with its own struct pages is not removed alone */
  removeMemory(start: number, sizeBytes: number): void;
  /** Take memory offline, then remove it; on failure its blocks are as they were. @throws KernelError as offline and remove do */
  offlineAndRemoveMemory(start: number, sizeBytes: number): void;
  /** Can memory of this size hold its own struct pages (mhp_supports_memmap_on_memory)? */
  supportsMemmapOnMemory(sizeBytes: number): boolean;
  /** Tell somebody of blocks that go online and offline, from now on; the returned function ends that. */
  registerNotifier(notifier: MemoryNotifier): () => void;
  /** Take a block online; returns false if it is already. */
  onlineBlock(nr: number, type?: OnlineType): boolean;
  /** Take a block offline; returns false if it is already. @throws KernelError EINVAL, EBUSY */
  offlineBlock(nr: number): boolean;
}

export function createMemoryHotplug(deps: MemoryHotplugDeps): MemoryHotplug {
  const { sections, source, onliner, policy, blockSize, iomem, printk } = deps;
  const groups = new Set<MemoryGroup>();
  const notifiers = new Set<MemoryNotifier>();
  const blocks: MemoryBlockControl = createMemoryBlocks({
    ...deps,
    groups,
    notifiers,
    probe: (addr) => addMemory(deps.addressToNode(addr as PhysAddr), addr, blockSize),
  });
  const numbersOf = (start: number, sizeBytes: number): Range => ({ start: start / blockSize, end: (start + sizeBytes) / blockSize });

  function supportsMemmapOnMemory(sizeBytes: number): boolean {
    const memmapBytes = (sizeBytes / PAGE_SIZE) * STRUCT_PAGE_SIZE;
    const wholeBlocks = isAligned(memmapBytes, SECTION_MEMMAP_SIZE) && isAligned(sizeBytes - memmapBytes, PAGEBLOCK_NR_PAGES * PAGE_SIZE);
    return policy.memmapOnMemory && sizeBytes === blockSize && wholeBlocks;
  }

  function addMemory(nid: NodeId, start: number, sizeBytes: number, options: AddMemoryOptions = {}): void {
    addNamed(nid, start, sizeBytes, 'System RAM', options);
    deps.firmwareMap?.add(start, start + sizeBytes, 'System RAM');
    onlineByPolicy(start, sizeBytes);
  }

  function addNamed(nid: NodeId, start: number, sizeBytes: number, name: string, options: AddMemoryOptions): void {
    checkAddressable(start, sizeBytes, deps);
    const resource = registerMemoryResource(iomem, start, sizeBytes, name);
    try {
      addResource(nid, start, sizeBytes, options);
    } catch (error) {
      releaseResource(resource);
      throw error;
    }
    if (options.mergeResource) mergeSystemRam(resource);
  }

  /** add_memory_resource */
  function addResource(nid: NodeId, start: number, sizeBytes: number, { group, memmapOnMemory, preallocated }: AddMemoryOptions): void {
    checkHotplugRange(start, sizeBytes, deps);
    if (!deps.possibleNodes.includes(nid)) {
      printk(`WARNING: node ${nid} was absent from the node_possible_map`, KERN.warning);
      throw new KernelError('EINVAL', `node ${nid}: expected one that firmware names (${deps.possibleNodes.join(', ')})`);
    }
    onliner.onlineNode(nid);
    if (memmapOnMemory && !supportsMemmapOnMemory(sizeBytes)) throw new KernelError('EINVAL', `${hex(start)}: its struct pages cannot lie in it`);
    const range = framesOf(start, sizeBytes);
    const own = memmapOnMemory ? createVmemAltmap(range.start, { reserve: 0, free: range.end - range.start }) : undefined;
    sections.addRange(range, nid, source, { kind: 'ram', altmap: preallocated ? preallocatedAltmap(preallocated) : own });
    const numbers = numbersOf(start, sizeBytes);
    blocks.add(numbers, { nid, group, nrVmemmap: own?.alloc ?? 0 });
    if (preallocated) keepFrames(range, preallocated, { nid, group, nrVmemmap: 0 });
    if (group) groups.add(group);
  }

  /** Whoever goes online later leaves the area alone. */
  function keepFrames(range: Range<Pfn>, { start, sizeBytes }: Preallocated, spec: BlockSpec): void {
    const firstKept = physToPfn(start);
    if (firstKept >= range.end || firstKept + sizeBytes / PAGE_SIZE <= range.start) return;
    const perBlock = blockSize / PAGE_SIZE;
    for (let nr = Math.floor(firstKept / perBlock); nr < range.end / perBlock; nr++) {
      blocks.add({ start: nr, end: nr + 1 }, { ...spec, nrKept: Math.min(perBlock, (nr + 1) * perBlock - firstKept) });
    }
  }

  function onlineByPolicy(start: number, sizeBytes: number): void {
    const type = policy.autoOnline;
    if (type === 'offline') return;
    const { start: first, end } = numbersOf(start, sizeBytes);
    for (let nr = first; nr < end; nr++) blocks.online(nr, type);
  }

  function removeMemory(start: number, sizeBytes: number): void {
    const numbers = numbersOf(start, sizeBytes);
    checkRemovable(numbers, start, sizeBytes);
    deps.firmwareMap?.remove(start, start + sizeBytes, 'System RAM');
    const leaving = new Set<MemoryGroup>();
    const { nid } = blocks.block(numbers.start);
    for (let nr = numbers.start; nr < numbers.end; nr++) {
      const { group } = blocks.block(nr);
      if (group) leaving.add(group);
    }
    blocks.remove(numbers);
    for (const group of leaving) {
      if (![...blocks.numbers()].some((nr) => blocks.block(nr).group === group)) groups.delete(group);
    }
    const range = framesOf(start, sizeBytes);
    onliner.removePages(range);
    sections.removeRange(range, source);
    releaseMemoryResource(iomem, start, start + sizeBytes - 1);
    if (![...blocks.numbers()].some((nr) => blocks.block(nr).nid === nid)) onliner.offlineNode(nid);
  }

  function checkRemovable({ start: first, end }: Range, start: number, sizeBytes: number): void {
    const where = `${hex(start)}-${hex(start + sizeBytes - 1)}`;
    if (!isAligned(start, blockSize) || !isAligned(sizeBytes, blockSize) || sizeBytes <= 0) {
      throw new KernelError('EINVAL', `${where}: expected whole memory blocks`);
    }
    for (let nr = first; nr < end; nr++) {
      if (!blocks.has(nr)) throw new KernelError('EINVAL', `${where}: there is no memory${nr}`);
      if (blocks.block(nr).state === 'offline') continue;
      printk(`removing memory fails, because memory [${hex16(nr * blockSize)}-${hex16((nr + 1) * blockSize - 1)}] is onlined`, KERN.warning);
      throw new KernelError('EBUSY', `${where}: memory${nr} is online`);
    }
    if (end - first > 1 && blocks.block(first).nrVmemmap > 0) {
      printk(`Refuse to remove ${hex(start)} - ${hex(start + sizeBytes)}, wrong granularity`, KERN.warning);
      throw new KernelError('EINVAL', `${where}: a block that holds its own struct pages is removed alone`);
    }
  }

  return {
    blockSize,
    blocks,
    groups,
    addMemory,
    addMemoryDriverManaged(nid, start, sizeBytes, name, options = {}) {
      if (!/^System RAM \(.+\)$/.test(name)) throw new KernelError('EINVAL', `'${name}': expected System RAM (driver)`);
      addNamed(nid, start, sizeBytes, name, { group: createStaticGroup(nid, Math.floor(sizeBytes / PAGE_SIZE)), ...options });
      onlineByPolicy(start, sizeBytes);
    },
    removeMemory,
    offlineAndRemoveMemory(start, sizeBytes) {
      const { start: first, end } = numbersOf(start, sizeBytes);
      const undo: (() => void)[] = [];
      try {
        for (let nr = first; nr < end; nr++) {
          const { zone } = blocks.block(nr);
          if (blocks.offline(nr) && zone) undo.push(() => blocks.online(nr, zone.name === 'Movable' ? 'online_movable' : 'online_kernel'));
        }
      } catch (error) {
        for (const redo of undo) redo();
        throw error;
      }
      removeMemory(start, sizeBytes);
    },
    supportsMemmapOnMemory,
    registerNotifier(notifier) {
      notifiers.add(notifier);
      return () => void notifiers.delete(notifier);
    },
    onlineBlock: (nr, type) => blocks.online(nr, type),
    offlineBlock: (nr) => blocks.offline(nr),
  };
}

function framesOf(start: number, sizeBytes: number): Range<Pfn> {
  return { start: physToPfn(start as PhysAddr), end: physToPfn((start + sizeBytes) as PhysAddr) };
}

/** mhp_range_allowed */
function checkAddressable(start: number, sizeBytes: number, { maxPhysAddr, printk }: MemoryHotplugDeps): void {
  if (start + sizeBytes <= maxPhysAddr) return;
  printk(`Hotplug memory [${hex(start)}-${hex(start + sizeBytes)}] exceeds maximum addressable range [0x0-${hex(maxPhysAddr - 1)}]`, KERN.warning);
  throw new KernelError('E2BIG', `${hex(start)}: beyond the direct map, which ends at ${hex(maxPhysAddr)}`);
}

/** check_hotplug_memory_range */
function checkHotplugRange(start: number, sizeBytes: number, { blockSize, printk, release }: MemoryHotplugDeps): void {
  if (sizeBytes > 0 && isAligned(start, blockSize) && isAligned(sizeBytes, blockSize)) return;
  const range = `start ${hex(start)}, size ${hex(sizeBytes)}`;
  // Which grain is wanted was said from 4.18 on.
  printk(
    releaseAtLeast(release, 4, 18) ? `Block size [${hex(blockSize)}] unaligned hotplug range: ${range}` : `Section-unaligned hotplug range: ${range}`,
    KERN.err,
  );
  throw new KernelError('EINVAL', `${range}: expected multiples of the memory block size ${hex(blockSize)}`);
}
