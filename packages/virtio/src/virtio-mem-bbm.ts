/**
 * virtio-mem in Big Block Mode: blocks of the device that span one or more memory blocks, plugged and unplugged whole.
 * Mirrors drivers/virtio/virtio_mem.c: virtio_mem_bbm_*.
 *
 * Invariant: a big block is plugged while it is added. While it is being taken back all of it that is online is out of the allocator.
 */
import { KernelError, PAGE_SIZE, type Pfn, type Range, roundUp } from '@holdfast/lib';
import { type VirtioMemCore, type VirtioMemMode, bytesOf, isBusy } from './virtio-mem-core.js';

const ZONE_MOVABLE = 3;

interface BigBlock {
  readonly start: number;
  state: 'unused' | 'plugged' | 'added' | 'fake-offline';
}

/** @param safeUnplug take all of a block from the allocator before any of it goes offline */
export function createBigBlockMode(core: VirtioMemCore, size: number, safeUnplug: boolean): VirtioMemMode {
  const { device, memory } = core;
  const first = roundUp(device.start, size);
  const blocks: BigBlock[] = [];
  /** Zones of memory blocks that are online, by number. */
  const zones = new Map<number, number>();
  let usableEnd = first;

  const inState = (state: BigBlock['state']): BigBlock[] => blocks.filter((block) => block.state === state);
  const blockAt = ({ start, end }: Range<Pfn>): BigBlock | undefined => {
    const addr = start * PAGE_SIZE;
    return addr >= first && end * PAGE_SIZE <= device.start + device.regionSize ? blocks[Math.floor((addr - first) / size)] : undefined;
  };
  /** The memory blocks of a big block that are online, ascending. */
  const onlineIn = ({ start }: BigBlock): number[] =>
    Array.from({ length: size / memory.blockSize }, (_, index) => start / memory.blockSize + index).filter((nr) => zones.has(nr));

  function plugAndAdd(block: BigBlock): void {
    core.sendPlug(block.start, size);
    block.state = 'added';
    try {
      core.addMemory(block.start, size);
    } catch (error) {
      block.state = 'plugged';
      core.sendUnplug(block.start, size);
      block.state = 'unused';
      throw error;
    }
  }

  function nextBlock(): BigBlock {
    const start = first + blocks.length * size;
    if (start + size > usableEnd) throw new KernelError('ENOSPC', 'the region has no more room for a big block');
    const block: BigBlock = { start, state: 'unused' };
    blocks.push(block);
    return block;
  }

  /** @throws KernelError EBUSY if some of it is in use; all is as it was then. */
  function takeBack(block: BigBlock): void {
    const taken: number[] = [];
    try {
      if (safeUnplug) {
        block.state = 'fake-offline';
        for (const nr of onlineIn(block)) {
          core.fakeOffline(nr * memory.blockSize, memory.blockSize);
          taken.push(nr);
        }
      }
      core.offlineAndRemove(block.start, size);
    } catch (error) {
      for (const nr of taken) core.fakeOnline(nr * memory.blockSize, memory.blockSize);
      block.state = 'added';
      throw error;
    }
    block.state = 'plugged';
    core.sendUnplug(block.start, size);
    block.state = 'unused';
  }

  return {
    plug(bytes) {
      const unused = inState('unused').values();
      for (let left = Math.floor(bytes / size); left > 0; left--) {
        if (!core.couldAdd(size)) throw new KernelError('ENOSPC', 'too much memory that was added is offline');
        plugAndAdd(unused.next().value ?? nextBlock());
      }
    },
    unplug(bytes) {
      let left = Math.floor(bytes / size);
      const take = (wanted: (block: BigBlock) => boolean): void => {
        for (const block of inState('added').reverse()) {
          if (left === 0 || !wanted(block)) continue;
          try {
            takeBack(block);
            left--;
          } catch (error) {
            if (!isBusy(error)) throw error;
          }
        }
      };
      take((block) => onlineIn(block).length === 0);
      if (!core.unplugOnline()) return;
      take((block) => onlineIn(block).every((nr) => zones.get(nr) === ZONE_MOVABLE));
      take(() => true);
      if (left > 0) throw new KernelError('EBUSY', `${left} big blocks are in use`);
    },
    unplugPending() {
      for (const block of inState('plugged')) {
        core.sendUnplug(block.start, size);
        block.state = 'unused';
      }
    },
    setUsableEnd(end) {
      usableEnd = end;
    },
    removeOffline() {},
    notifier: {
      notPlugged: (frames) => (blockAt(frames)?.state === 'fake-offline' ? [frames] : []),
      online(frames, { index }) {
        if (!blockAt(frames)) return;
        const { start, bytes } = bytesOf(frames);
        zones.set(start / memory.blockSize, index);
        core.moved(-bytes);
      },
      offline(frames) {
        if (!blockAt(frames)) return;
        const { start, bytes } = bytesOf(frames);
        zones.delete(start / memory.blockSize);
        core.moved(bytes);
      },
    },
  };
}
