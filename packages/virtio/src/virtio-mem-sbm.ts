/**
 * virtio-mem in Sub Block Mode: memory blocks of which only some sub-blocks are plugged. Mirrors drivers/virtio/virtio_mem.c: virtio_mem_sbm_*.
 *
 * Invariant: a block is added while any of its sub-blocks is plugged (or the kernel would not let it go); its frames in the allocator are those
 * of its plugged sub-blocks.
 */
import { KernelError, PAGE_SIZE, type Pfn, type Range, roundUp } from '@holdfast/lib';
import { type VirtioMemCore, type VirtioMemMode, bytesOf, isBusy, pfnAt } from './virtio-mem-core.js';

const ZONE_MOVABLE = 3;

type BlockState = 'unused' | 'plugged' | 'offline' | 'offline-partial' | 'kernel' | 'kernel-partial' | 'movable' | 'movable-partial';

interface Block {
  readonly start: number;
  state: BlockState;
  /** By sub-block: 1 if it is plugged. */
  readonly plugged: Uint8Array;
}

/** What is filled up, and what is given back, in which order. */
const PLUG_ORDER: readonly BlockState[] = ['kernel-partial', 'movable-partial', 'offline-partial'];
const UNPLUG_OFFLINE: readonly BlockState[] = ['offline-partial', 'offline'];
const UNPLUG_ONLINE: readonly BlockState[] = ['movable-partial', 'kernel-partial', 'movable', 'kernel'];

export function createSubBlockMode(core: VirtioMemCore, subBlockSize: number): VirtioMemMode {
  const { device, memory } = core;
  const { blockSize } = memory;
  const perBlock = blockSize / subBlockSize;
  const first = roundUp(device.start, blockSize);
  const blocks: Block[] = [];
  let usableEnd = first;

  const inState = (state: BlockState): Block[] => blocks.filter((block) => block.state === state);
  const isFull = ({ plugged }: Block): boolean => !plugged.includes(0);
  const isEmpty = ({ plugged }: Block): boolean => !plugged.includes(1);
  const addressOf = ({ start }: Block, subBlock: number): number => start + subBlock * subBlockSize;
  const blockAt = ({ start, end }: Range<Pfn>): Block | undefined => {
    const addr = start * PAGE_SIZE;
    return addr >= first && end * PAGE_SIZE <= device.start + device.regionSize ? blocks[(addr - first) / blockSize] : undefined;
  };

  function plugSubBlocks(block: Block, subBlock: number, count: number): void {
    core.sendPlug(addressOf(block, subBlock), count * subBlockSize);
    block.plugged.fill(1, subBlock, subBlock + count);
  }

  function unplugSubBlocks(block: Block, subBlock: number, count: number): void {
    core.sendUnplug(addressOf(block, subBlock), count * subBlockSize);
    block.plugged.fill(0, subBlock, subBlock + count);
  }

  /** Fill the gaps of a block that is added, lowest first; returns how many sub-blocks are left to plug. */
  function fill(block: Block, wanted: number): number {
    let left = wanted;
    for (let at = block.plugged.indexOf(0); left > 0 && at >= 0; at = block.plugged.indexOf(0)) {
      const next = block.plugged.indexOf(1, at);
      const count = Math.min(left, (next < 0 ? perBlock : next) - at);
      plugSubBlocks(block, at, count);
      left -= count;
      if (block.state !== 'offline-partial') core.fakeOnline(addressOf(block, at), count * subBlockSize);
    }
    if (isFull(block)) block.state = block.state.replace('-partial', '') as BlockState;
    return left;
  }

  /** Plug before adding, so that going online finds what is there. */
  function plugAndAdd(block: Block, wanted: number): number {
    const count = Math.min(wanted, perBlock);
    plugSubBlocks(block, 0, count);
    block.state = count === perBlock ? 'offline' : 'offline-partial';
    try {
      core.addMemory(block.start, blockSize);
    } catch (error) {
      block.state = 'plugged';
      unplugSubBlocks(block, 0, count);
      block.state = 'unused';
      throw error;
    }
    return wanted - count;
  }

  function nextBlock(): Block {
    const start = first + blocks.length * blockSize;
    if (start + blockSize > usableEnd) throw new KernelError('ENOSPC', 'the region has no more room for a memory block');
    const block: Block = { start, state: 'unused', plugged: new Uint8Array(perBlock) };
    blocks.push(block);
    return block;
  }

  /** Highest first; none of it can be in use. */
  function unplugRaw(block: Block, wanted: number): number {
    let left = wanted;
    for (let last = block.plugged.lastIndexOf(1); left > 0 && last >= 0; last = block.plugged.lastIndexOf(1)) {
      const below = block.plugged.lastIndexOf(0, last);
      const count = Math.min(left, last - below);
      unplugSubBlocks(block, last - count + 1, count);
      left -= count;
    }
    return left;
  }

  function unplugOffline(block: Block, wanted: number): number {
    const left = unplugRaw(block, wanted);
    if (!isFull(block)) block.state = 'offline-partial';
    if (isEmpty(block)) {
      block.state = 'unused';
      core.removeMemory(block.start, blockSize);
    }
    return left;
  }

  /** @throws KernelError EBUSY if some of it is in use; nothing has changed then. */
  function unplugOnlineSubBlocks(block: Block, subBlock: number, count: number): void {
    core.fakeOffline(addressOf(block, subBlock), count * subBlockSize);
    try {
      unplugSubBlocks(block, subBlock, count);
    } catch (error) {
      core.fakeOnline(addressOf(block, subBlock), count * subBlockSize);
      throw error;
    }
    if (block.state === 'kernel' || block.state === 'movable') block.state = `${block.state}-partial`;
  }

  /** The whole block in one go, or else what is not in use of it, highest first. */
  function unplugOnline(block: Block, wanted: number): number {
    let left = wanted;
    if (left >= perBlock && isFull(block) && succeeds(() => unplugOnlineSubBlocks(block, 0, perBlock))) left -= perBlock;
    for (let subBlock = perBlock - 1; subBlock >= 0 && left > 0; subBlock--) {
      if (block.plugged[subBlock] === 1 && succeeds(() => unplugOnlineSubBlocks(block, subBlock, 1))) left--;
    }
    // This may fail if somebody else forbids it; then the block stays, empty.
    if (isEmpty(block) && succeeds(() => core.offlineAndRemove(block.start, blockSize))) block.state = 'unused';
    return left;
  }

  return {
    plug(bytes) {
      let left = Math.floor(bytes / subBlockSize);
      for (const state of PLUG_ORDER) for (const block of inState(state)) if (left > 0) left = fill(block, left);
      const unused = inState('unused').values();
      while (left > 0) {
        if (!core.couldAdd(blockSize)) throw new KernelError('ENOSPC', 'too much memory that was added is offline');
        left = plugAndAdd(unused.next().value ?? nextBlock(), left);
      }
    },
    unplug(bytes) {
      let left = Math.floor(bytes / subBlockSize);
      const take = (states: readonly BlockState[], from: (block: Block, wanted: number) => number): void => {
        for (const state of states) for (const block of inState(state).reverse()) if (left > 0 && block.state === state) left = from(block, left);
      };
      take(UNPLUG_OFFLINE, unplugOffline);
      if (!core.unplugOnline()) return;
      take(UNPLUG_ONLINE, unplugOnline);
      if (left > 0) throw new KernelError('EBUSY', `${left} sub-blocks are in use`);
    },
    unplugPending() {
      for (const block of inState('plugged')) {
        unplugRaw(block, perBlock);
        block.state = 'unused';
      }
    },
    setUsableEnd(end) {
      usableEnd = end;
    },
    removeOffline() {
      // Nobody is there any more who knows which parts of them are plugged.
      for (const block of inState('offline-partial')) {
        core.removeMemory(block.start, blockSize);
        block.state = 'unused';
      }
    },
    notifier: {
      goingOnline(frames) {
        const block = blockAt(frames);
        if (!block || block.state === 'offline' || block.state === 'offline-partial') return;
        core.warn('memory block onlining denied');
        throw new KernelError('EPERM', `the memory block at ${block.start} is being unplugged`);
      },
      notPlugged(frames) {
        const block = blockAt(frames);
        return block ? holesOf(block) : [];
      },
      online(frames, { index }) {
        const block = blockAt(frames);
        if (!block) return;
        const zone = index === ZONE_MOVABLE ? 'movable' : 'kernel';
        block.state = block.state === 'offline' ? zone : `${zone}-partial`;
        core.moved(-bytesOf(frames).bytes);
      },
      offline(frames) {
        const block = blockAt(frames);
        if (!block) return;
        block.state = isFull(block) ? 'offline' : 'offline-partial';
        core.moved(bytesOf(frames).bytes);
      },
    },
  };

  function holesOf(block: Block): Range<Pfn>[] {
    const holes: Range<Pfn>[] = [];
    for (let at = block.plugged.indexOf(0); at >= 0; ) {
      const next = block.plugged.indexOf(1, at);
      const end = next < 0 ? perBlock : next;
      holes.push({ start: pfnAt(addressOf(block, at)), end: pfnAt(addressOf(block, end)) });
      at = next < 0 ? -1 : block.plugged.indexOf(0, next);
    }
    return holes;
  }
}

/** Do something that memory in use may be in the way of. */
function succeeds(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!isBusy(error)) throw error;
    return false;
  }
}
