/**
 * A CPU in user mode: loads, stores and cache instructions at virtual addresses, through the page tables.
 * Mirrors what the MMU does, arch/x86/mm/fault.c for what it cannot, and arch/x86/kernel/cpu/mce for memory that cannot be read.
 *
 * Invariant: each access goes to the frames that the page tables name at that moment, with the memory type that their entries name, and
 * costs what the medium behind costs.
 * Differs from Linux: walking page tables and handling a fault take no time; accessed and dirty bits are set at the first touch of a piece.
 */
import { PAGE_SIZE, type PhysAddr, roundDown } from '@holdfast/lib';
import { CHUNK_SIZE, type Cpu, type Mapping, type MemoryType, type PhysicalMemory } from '@holdfast/machine';
import { type Leaf, type MmStruct, PTE, faultIn, isSignal, leafSize, linearPageIndex } from '@holdfast/mm';
import { Signal } from './signal.js';

export interface UserAccessNeeds {
  readonly cpu: Cpu;
  readonly memory: Pick<PhysicalMemory, 'isBacked'>;
}

/** All addresses are virtual, all lengths bytes. Each call may end with a {@link Signal}, what was done before it stays done. */
export interface UserAccess {
  load(mm: MmStruct, address: number, target: Uint8Array): void;
  /** Plain stores. */
  store(mm: MmStruct, address: number, source: Uint8Array): void;
  /** Non-temporal stores, past the caches: durable after the next fence. */
  storeNt(mm: MmStruct, address: number, source: Uint8Array): void;
  flush(mm: MmStruct, instruction: 'clflush' | 'clflushopt' | 'clwb', address: number, length: number): void;
  sfence(): void;
  /** Let go of the memory that was reached. */
  release(): void;
}

/** Views of memory that are kept at a time. */
const MAX_VIEWS = 1024;

export function createUserAccess({ cpu, memory }: UserAccessNeeds): UserAccess {
  /** By the first byte that they show: chunks, and single frames where a chunk is not all there. */
  const views = new Map<number, Mapping>();

  const release = (): void => {
    for (const view of views.values()) cpu.unmap(view);
    views.clear();
  };

  const viewAt = (addr: number, type: MemoryType): Mapping => {
    const chunk = addr - (addr % CHUNK_SIZE);
    const frame = addr - (addr % PAGE_SIZE);
    const there = views.get(chunk);
    if (there && addr - chunk < there.sizeBytes && there.type === type) return there;
    const small = views.get(frame);
    if (small?.type === type) return small;
    if (views.size >= MAX_VIEWS) release();
    const whole = memory.isBacked(chunk as PhysAddr, CHUNK_SIZE);
    const view = cpu.mapUser((whole ? chunk : frame) as PhysAddr, whole ? CHUNK_SIZE : PAGE_SIZE, type);
    const before = views.get(view.start);
    if (before) cpu.unmap(before);
    views.set(view.start, view);
    return view;
  };

  /** Call `use` for each piece that is physically consecutive: `offset` bytes into a view, `done` bytes of all behind it. */
  const eachPiece = (
    mm: MmStruct, address: number, length: number, write: boolean,
    use: (view: Mapping, offset: number, done: number, count: number, leaf: Leaf) => void,
  ): void => {
    for (let done = 0; done < length;) {
      const at = address + done;
      const leaf = faultIn(mm, at, write);
      if (isSignal(leaf)) throw new Signal(leaf);
      const phys = leaf.pfn * PAGE_SIZE + at - leaf.start;
      const view = viewAt(phys, leaf.level === 0 && (leaf.flags & PTE.WRITE_THROUGH) === PTE.WRITE_THROUGH ? 'WT' : 'WB');
      const offset = phys - view.start;
      const count = Math.min(length - done, leaf.start + leafSize(leaf.level) - at, view.sizeBytes - offset);
      if (write && (leaf.flags & PTE.DIRTY) === 0) mm.pageTable.set(leaf.start, leaf.level, leaf.pfn, leaf.flags | PTE.DIRTY | PTE.ACCESSED);
      use(view, offset, done, count, leaf);
      done += count;
    }
  };

  /**
   * The machine check of a load at `address`: the page of a file is taken out of all processes, so that the next touch faults, and whoever
   * loaded it is told its address (memory_failure, kill_me_maybe).
   */
  const memoryFailure = (mm: MmStruct, address: number, leaf: Leaf): never => {
    const vma = mm.find(address);
    if (vma) vma.file?.mmaps.unmapRange(linearPageIndex(vma, leaf.start), leafSize(leaf.level) / PAGE_SIZE, false);
    throw new Signal({ signal: 'SIGBUS', code: 'BUS_MCEERR_AR', address: roundDown(address, PAGE_SIZE) });
  };

  return {
    load(mm, address, target) {
      eachPiece(mm, address, target.length, false, (view, offset, done, count, leaf) => {
        const lost = view.readRecoverable(offset, target, done, count);
        if (lost > 0) memoryFailure(mm, address + done + count - lost, leaf);
      });
    },
    store(mm, address, source) {
      eachPiece(mm, address, source.length, true, (view, offset, done, count) => view.write(offset, source, done, count));
    },
    storeNt(mm, address, source) {
      eachPiece(mm, address, source.length, true, (view, offset, done, count) => view.writeFlushCache(offset, source, done, count));
    },
    flush(mm, instruction, address, length) {
      eachPiece(mm, address, length, false, (view, offset, _done, count) => view[instruction](offset, count));
    },
    sfence: () => cpu.sfence(),
    release,
  };
}
