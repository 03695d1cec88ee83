/**
 * The buddy allocator's oracle: the same rules over plain lists of block numbers, with no arrays, links or merging tricks; and the wiring
 * that tests of struct pages share.
 */
import { type PhysAddr, SECTION_MEMMAP_SIZE } from '@holdfast/lib';
import { freeListOwner } from '../src/buddy-page.js';
import { type Buddy, PREV, createBuddy, firstOf, freeOrder, isRun, listHead, pfnOf } from '../src/buddy.js';
import { setSpan } from '../src/buddy-slots.js';
import { collectRuns } from '../src/buddy-runs.js';
import { type Vmemmap, createVmemmap } from '../src/vmemmap.js';

/** A vmemmap whose chunks are made when asked for; section n's memmap is chunk n. */
export function testVmemmap(sections = Infinity): { vmemmap: Vmemmap; chunks: Map<number, Uint8Array> } {
  const chunks = new Map<number, Uint8Array>();
  const chunk = (nr: number): Uint8Array => {
    const made = chunks.get(nr) ?? new Uint8Array(SECTION_MEMMAP_SIZE);
    chunks.set(nr, made);
    return made;
  };
  const vmemmap = createVmemmap({
    memory: { chunk },
    memmapPhys: (nr) => (nr < sections ? ((nr * SECTION_MEMMAP_SIZE) as PhysAddr) : undefined),
  });
  return { vmemmap, chunks };
}

/** A zone's allocator over `[startPfn, endPfn)`, all reserved. */
export function testBuddy(startPfn: number, endPfn: number, vmemmap = testVmemmap().vmemmap): Buddy {
  const buddy = createBuddy(vmemmap, 0, 2);
  setSpan(buddy, startPfn, endPfn);
  vmemmap.initRange(startPfn, endPfn, 0, 2, 'reserved');
  vmemmap.addFreeListOwner(0, 2, freeListOwner(buddy));
  return buddy;
}

/** Every free block of a list, first to last, runs written out. */
export function listedBlocks(buddy: Buddy, order: number, type: number): number[] {
  const head = listHead(order, type);
  const blocks: number[] = [];
  const runs = new Map(collectRuns(buddy).map((run) => [run.handle, run]));
  for (let at = firstOf(buddy, head); at !== head; at = buddy.cells[at]!) {
    if (buddy.cells[buddy.cells[at]! | PREV] !== at) throw new Error(`list ${order}/${type}: links disagree at ${at}`);
    if (freeOrder(buddy, at) !== order) throw new Error(`list ${order}/${type}: ${at} is free as a block of order ${freeOrder(buddy, at)}`);
    const run = isRun(buddy, at) ? runs.get(at) : undefined;
    for (let pfn = pfnOf(buddy, at); pfn < (run?.endPfn ?? pfnOf(buddy, at) + 1); pfn += 1024) blocks.push(pfn);
  }
  return blocks;
}

/** What Linux's rules say, on arrays of block numbers. */
export class BuddyModel {
  readonly lists: number[][][] = Array.from({ length: 11 }, () => Array.from({ length: 5 }, () => []));
  readonly blockTypes = new Map<number, number>();
  /** The zone's last frame is the one before. */
  readonly endPfn: number;

  constructor(endPfn: number) {
    this.endPfn = endPfn;
  }

  typeOf(pfn: number): number {
    return this.blockTypes.get(Math.floor(pfn / 512)) ?? 1;
  }

  private isListed(pfn: number, order: number): boolean {
    return this.lists[order]!.some((list) => list.includes(pfn));
  }

  free(start: number, startOrder: number, toTail: boolean): void {
    let [pfn, order] = [start, startOrder];
    const type = this.typeOf(pfn);
    for (; order < 10; order++) {
      const buddy = (pfn / 2 ** order) % 2 === 0 ? pfn + 2 ** order : pfn - 2 ** order;
      if (!this.isListed(buddy, order)) break;
      const other = this.typeOf(buddy);
      if (order === 9 && type !== other && Math.max(type, other) > 2) break;
      for (const list of this.lists[order]!) if (list.includes(buddy)) list.splice(list.indexOf(buddy), 1);
      pfn = Math.min(pfn, buddy);
    }
    const parent = Math.floor(pfn / 2 ** (order + 1)) * 2 ** (order + 1);
    const aunt = (parent / 2 ** (order + 1)) % 2 === 0 ? parent + 2 ** (order + 1) : parent - 2 ** (order + 1);
    const last = toTail || (order < 9 && this.isListed(aunt, order + 1));
    if (last) this.lists[order]![type]!.push(pfn);
    else this.lists[order]![type]!.unshift(pfn);
  }

  freeRange(start: number, end: number): void {
    for (let pfn = start; pfn < end; ) {
      let order = 10;
      while (pfn % 2 ** order !== 0 || pfn + 2 ** order > end) order--;
      this.free(pfn, order, true);
      pfn += 2 ** order;
    }
  }

  alloc(order: number, type: number): number {
    for (;;) {
      const found = this.lists.findIndex((types, current) => current >= order && types[type]!.length > 0);
      if (found >= 0) {
        const pfn = this.lists[found]![type]!.shift()!;
        for (let current = found - 1; current >= order; current--) this.lists[current]![type]!.unshift(pfn + 2 ** current);
        return pfn;
      }
      if (!this.steal(order, type)) return -1;
    }
  }

  private steal(order: number, type: number): boolean {
    const fallbacks = [[2, 1], [2, 0], [0, 1]][type]!;
    const sourceAt = (current: number): number | undefined => fallbacks.find((from) => this.lists[current]![from]!.length > 0);
    for (let current = 10; current >= order; current--) {
      if (sourceAt(current) === undefined) continue;
      let chosen = current;
      if (type === 1 && current < 4) for (chosen = order; sourceAt(chosen) === undefined; ) chosen++;
      this.take(chosen, sourceAt(chosen)!, type);
      return true;
    }
    return false;
  }

  private take(order: number, from: number, type: number): void {
    const pfn = this.lists[order]![from]![0]!;
    const block = Math.floor(pfn / 512);
    const old = this.typeOf(pfn);
    const move = (start: number, at: number): void => {
      for (const list of this.lists[at]!) if (list.includes(start)) list.splice(list.indexOf(start), 1);
      this.lists[at]![type]!.push(start);
    };
    if (order >= 9) {
      for (let i = 0; i < 2 ** (order - 9); i++) this.blockTypes.set(block + i, type);
      move(pfn, order);
    } else if (order >= 4 || type !== 1) {
      let moved = 0;
      for (let page = block * 512; page < (block + 1) * 512 && (block + 1) * 512 <= this.endPfn; page++) {
        const at = this.lists.findIndex((_, current) => this.isListed(page, current));
        if (at < 0) continue;
        move(page, at);
        moved += 2 ** at;
      }
      if (moved === 0) return move(pfn, order);
      if (moved + (type !== 1 && old === 1 ? 512 - moved : 0) >= 256) this.blockTypes.set(block, type);
    } else {
      move(pfn, order);
    }
  }
}
