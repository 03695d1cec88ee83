/**
 * Struct pages of variable size: one for each unit of 2 MiB or 1 GiB (or of 4 KiB, to compare), and smaller ones only where somebody needs them.
 * Mentioned in the thread of April 2015 (row 19); what Linux came to have are compound devmaps (5.17), folios, and a vmemmap without its tail pages (6.0).
 *
 *   1 GiB ─┬─ 2 MiB ─┬─ 4 KiB      each step down is an array of 512 struct pages, 32 KiB of RAM,
 *          │         └─ …          that is there while one of its frames is held for long
 *          └─ …
 *
 * A reference for the time of an I/O is counted by the smallest struct page that there is. One that may stay (longterm) wants a struct page
 * of its frame's own, with flags and a count: the unit is split, and joined again when the last reference to it is gone.
 *
 * Invariant: a struct page counts the references to all frames of its unit, 1 when there are none; it is split only while there are some.
 * References from before a split are counted by the unit alone.
 */
import { GIB, KernelError, MIB, PAGE_SIZE, bugOn, hex, isAligned, physToPfn } from '@holdfast/lib';
import type { NodeId, Pfn, PhysAddr } from '@holdfast/lib';
import { DEVICE_PAGE_IDLE, PAGE_FLAGS, PAGE_PRIVATE, PAGE_REFCOUNT, PG } from '@holdfast/mm';
import type { AttachedPages, DesignDevice, PageDesign, PageHost } from '../page-design.js';
import { binarySize } from './binary-size.js';
import { checkIdle } from './counted-pages.js';
import { type PageArray, allocPageArray, initDevicePage, wordOf } from './page-array.js';

const DEFAULT_UNIT = 2 * MIB;
const UNITS: readonly number[] = [PAGE_SIZE, 2 * MIB, GIB];
/** A unit is split into 512, as page tables are. */
const SPLIT_SHIFT = 9;

export interface VariablePages extends AttachedPages {
  /** The smallest struct page that stands for a frame now: where it lies, and the frames that it stands for. */
  pageOf(pfn: Pfn): { readonly phys: PhysAddr; readonly nrFrames: number };
}

export const variablePages = {
  name: 'variable',
  summary: 'one struct page for 2 MiB or 1 GiB, split where a single frame is held for long',
  attach: attachUnits,
} satisfies PageDesign;

/** Struct pages of one size: units of 2^order frames from frame `first` of the device on. */
interface Level {
  readonly order: number;
  readonly first: number;
  readonly array: PageArray;
  /** What units are split into, by their index. */
  readonly splits: Map<number, Level>;
}

function attachUnits(device: DesignDevice, host: PageHost): VariablePages {
  const { name, sizeBytes, nid, options, start: phys } = device;
  const unitBytes = options.unitBytes ?? DEFAULT_UNIT;
  checkUnit(device, unitBytes);
  const start = physToPfn(phys);
  const end = physToPfn((phys + sizeBytes) as PhysAddr);
  let ramBytes = 0;
  let held = 0;

  const makeLevel = (order: number, first: number, count: number): Level => {
    const level = { order, first, array: allocUnits(host, name, nid, { order, first, count }), splits: new Map<number, Level>() };
    ramBytes += level.array.ramBytes;
    return level;
  };
  const dropLevel = ({ array }: Level): void => {
    ramBytes -= array.ramBytes;
    array.free();
  };
  const units = makeLevel(Math.log2(unitBytes / PAGE_SIZE), 0, sizeBytes / unitBytes);

  /** Make the struct page of a frame's own. A part that found no memory is joined again. */
  const split = (frame: number): void => {
    const made: { readonly parent: Level; readonly index: number }[] = [];
    try {
      for (let level = units; level.order > 0;) {
        const index = indexOf(level, frame);
        let smaller = level.splits.get(index);
        if (!smaller) {
          smaller = makeLevel(level.order - SPLIT_SHIFT, level.first + index * 2 ** level.order, 2 ** SPLIT_SHIFT);
          level.splits.set(index, smaller);
          made.push({ parent: level, index });
        }
        level = smaller;
      }
    } catch (error) {
      for (const { parent, index } of made.reverse()) join(parent, index);
      throw error;
    }
  };
  const join = (level: Level, index: number): void => {
    const smaller = level.splits.get(index);
    if (!smaller) return;
    level.splits.delete(index);
    dropLevel(smaller);
  };

  const get = (frame: number): void => {
    for (let level: Level | undefined = units; level; level = level.splits.get(indexOf(level, frame))) addRef(level, frame, 1);
    held++;
  };
  const put = (frame: number): void => {
    bugOn(countOf(units, frame) === DEVICE_PAGE_IDLE, `${name}: frame ${hex(frame)} is given back, and nobody holds it`);
    putIn(units, frame);
    held--;
  };
  const putIn = (level: Level, frame: number): void => {
    const index = indexOf(level, frame);
    const smaller = level.splits.get(index);
    if (smaller && countOf(smaller, frame) > DEVICE_PAGE_IDLE) putIn(smaller, frame);
    if (addRef(level, frame, -1) === DEVICE_PAGE_IDLE) join(level, index);
  };

  return {
    dataOffset: 0,
    dataSize: sizeBytes,
    pages: {
      start,
      end,
      owner: name,
      pte: 'devmap',
      ioByPfn: false,
      getPage(pfn, longterm) {
        if (pfn < start || pfn >= end) throw new KernelError('EFAULT', `${name}: pfn ${hex(pfn)} is not its`);
        if (longterm) split(pfn - start);
        get(pfn - start);
      },
      putPage: (pfn) => put(pfn - start),
    },
    pageOf(pfn) {
      const frame = pfn - start;
      let level = units;
      for (let smaller = level.splits.get(indexOf(level, frame)); smaller; smaller = level.splits.get(indexOf(level, frame))) level = smaller;
      return { phys: level.array.phys(indexOf(level, frame)), nrFrames: 2 ** level.order };
    },
    ramPageBytes: () => ramBytes,
    devicePageBytes: () => 0,
    held: () => held,
    makeAllReady: () => undefined,
    detach() {
      checkIdle(name, held);
      bugOn(units.splits.size > 0, `${name}: units are split, and nobody holds a frame`);
      dropLevel(units);
    },
  };
}

/** @throws KernelError EINVAL */
function checkUnit({ name, start, sizeBytes }: DesignDevice, unitBytes: number): void {
  if (!UNITS.includes(unitBytes)) throw new KernelError('EINVAL', `${name}: units of ${binarySize(unitBytes)}: expected 4 KiB, 2 MiB or 1 GiB`);
  if (!isAligned(start, unitBytes) || !isAligned(sizeBytes, unitBytes)) {
    throw new KernelError('EINVAL', `${name}: units of ${binarySize(unitBytes)} need both ends of the device at multiples of that: see pmem.unit_bytes`);
  }
}

function allocUnits(host: PageHost, name: string, nid: NodeId, { order, first, count }: { order: number; first: number; count: number }): PageArray {
  return allocPageArray(host, name, nid, count, (words, at, index, array) => {
    initDevicePage(words, at, { array, nid, frame: first + index * 2 ** order, refcount: DEVICE_PAGE_IDLE });
    if (order === 0) return;
    words[at + PAGE_FLAGS]! |= 1 << PG.head;
    words[at + PAGE_PRIVATE] = order;
  });
}

function indexOf({ order, first }: Level, frame: number): number {
  return Math.floor((frame - first) / 2 ** order);
}

function countOf(level: Level, frame: number): number {
  const index = indexOf(level, frame);
  return level.array.words(index)[wordOf(index) + PAGE_REFCOUNT]!;
}

/** Returns the new count. */
function addRef(level: Level, frame: number, change: number): number {
  const index = indexOf(level, frame);
  return (level.array.words(index)[wordOf(index) + PAGE_REFCOUNT]! += change);
}
