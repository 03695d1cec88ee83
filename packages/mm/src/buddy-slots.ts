/**
 * Slots: where the words of a section are, from the zone's span to the handle of a frame; and what is known of sections that have none.
 *
 * Invariant: a slot that nobody has is all zeros: nothing free, nothing in use, Movable. A section has one from when one of its frames is
 * first asked for by {@link handleOf} until it is removed.
 */
import { PAGES_PER_SECTION, bugOn } from '@holdfast/lib';
import { type Buddy, type BulkRange, CELL, SLOT_CELLS, markAllocated, setBlockTypes } from './buddy.js';

/** Handles are positive numbers of 31 bits. */
const MAX_SLOTS = 2 ** 31 / SLOT_CELLS;

/** Set the zone's span, and make room in the section table for it. A table never shrinks. */
export function setSpan(buddy: Buddy, startPfn: number, endPfn: number): void {
  buddy.startPfn = startPfn;
  buddy.endPfn = endPfn;
  const old = buddy.slotOfSection;
  const before = buddy.firstPfn / PAGES_PER_SECTION;
  const oldFirst = old.length > 0 ? before : Infinity;
  const oldEnd = before + old.length;
  let first = Math.min(Math.floor(startPfn / PAGES_PER_SECTION), oldFirst);
  let end = Math.max(Math.ceil(endPfn / PAGES_PER_SECTION), oldEnd);
  if (first === oldFirst && end === oldEnd) return;
  // Twice as large when it grows: memory is added block by block, and a table for each block would be a quadratic matter.
  if (old.length > 0 && end > oldEnd) end = Math.max(end, oldEnd + old.length);
  if (old.length > 0 && first < oldFirst) first = Math.max(0, Math.min(first, oldFirst - old.length));
  buddy.slotOfSection = new Int32Array(end - first);
  if (old.length > 0) buddy.slotOfSection.set(old, oldFirst - first);
  buddy.firstPfn = first * PAGES_PER_SECTION;
}

/** The handle of a frame inside the zone; its section gets a slot if it has none. */
export function handleOf(buddy: Buddy, pfn: number): number {
  const index = sectionIndex(buddy, pfn);
  const slot = buddy.slotOfSection[index] || makeSlot(buddy, index);
  return slot * SLOT_CELLS + (pfn % PAGES_PER_SECTION) * CELL;
}

/** The handle of a frame, or 0 if its section has no slot: it is untouched, or outside the zone. */
export function peekHandle(buddy: Buddy, pfn: number): number {
  const slot = buddy.slotOfSection[sectionIndex(buddy, pfn)] ?? 0;
  return slot === 0 ? 0 : slot * SLOT_CELLS + (pfn % PAGES_PER_SECTION) * CELL;
}

/** Where the section of a frame is in the table. */
function sectionIndex(buddy: Buddy, pfn: number): number {
  return Math.floor((pfn - buddy.firstPfn) / PAGES_PER_SECTION);
}

/** A slot of no section: its handles are list entries of runs. */
export function makeNodeSlot(buddy: Buddy): number {
  const slot = newSlot(buddy);
  buddy.memmaps[slot] = undefined;
  buddy.slotPfn[slot] = -1;
  return slot;
}

function newSlot(buddy: Buddy): number {
  const slot = buddy.spareSlots.pop() ?? buddy.memmaps.length;
  if (slot * SLOT_CELLS === buddy.cells.length) growSlots(buddy, slot * 2);
  return slot;
}

function makeSlot(buddy: Buddy, index: number): number {
  const pfn = buddy.firstPfn + index * PAGES_PER_SECTION;
  const section = pfn / PAGES_PER_SECTION;
  bugOn(!(index >= 0 && index < buddy.slotOfSection.length), `section ${section} is outside zone ${buddy.zoneIndex} of node ${buddy.nid}`);
  const slot = newSlot(buddy);
  buddy.memmaps[slot] = buddy.vmemmap.isMaterialised(section) ? buddy.vmemmap.memmap(section) : undefined;
  buddy.slotPfn[slot] = pfn;
  buddy.slotOfSection[index] = slot;
  if (buddy.bulk.length > 0) unpackBulk(buddy, pfn);
  return slot;
}

/** Write what is known of a section in bulk into its new slot. */
function unpackBulk(buddy: Buddy, sectionPfn: number): void {
  for (const range of cutBulk(buddy, sectionPfn, sectionPfn + PAGES_PER_SECTION)) {
    const first = handleOf(buddy, range.startPfn);
    const end = first + (range.endPfn - range.startPfn) * CELL;
    setBlockTypes(buddy, first, end, range.type);
    if (range.order !== undefined) markAllocated(buddy, first, end, range.order);
  }
}

/** Take the parts of bulk ranges inside `[startPfn, endPfn)` out of the record. */
export function cutBulk(buddy: Buddy, startPfn: number, endPfn: number): BulkRange[] {
  const inside: BulkRange[] = [];
  buddy.bulk = buddy.bulk.flatMap((range) => {
    const from = Math.max(range.startPfn, startPfn);
    const to = Math.min(range.endPfn, endPfn);
    if (from >= to) return [range];
    inside.push({ ...range, startPfn: from, endPfn: to });
    return [{ ...range, endPfn: from }, { ...range, startPfn: to }].filter((part) => part.startPfn < part.endPfn);
  });
  return inside;
}

function growSlots(buddy: Buddy, capacity: number): void {
  bugOn(capacity > MAX_SLOTS, `zone ${buddy.zoneIndex} of node ${buddy.nid}: more than ${MAX_SLOTS / 2} sections in use`);
  const { cells } = buddy;
  buddy.cells = new Int32Array(capacity * SLOT_CELLS);
  buddy.cells.set(cells);
}

/** Give up the slots of `[startPfn, endPfn)`: whole sections that were removed, with no free block left in them. */
export function dropSlots(buddy: Buddy, startPfn: number, endPfn: number): void {
  for (let pfn = startPfn; pfn < endPfn; pfn += PAGES_PER_SECTION) {
    const handle = peekHandle(buddy, pfn);
    if (handle === 0) continue;
    buddy.cells.fill(0, handle, handle + SLOT_CELLS);
    buddy.slotOfSection[sectionIndex(buddy, pfn)] = 0;
    buddy.spareSlots.push(handle / SLOT_CELLS);
  }
}
