/**
 * Emptying a range of frames: what is in use is moved elsewhere, so that the range can leave the allocator.
 * Mirrors mm/page_isolation.c: has_unmovable_pages; mm/memory_hotplug.c: scan_movable_pages, do_migrate_range; mm/migrate.c: migrate_pages,
 * alloc_migration_target; mm/page_alloc.c: __alloc_contig_migrate_range.
 *
 * Invariant: a frame that was moved is free and isolated, and its bytes are where its owner looks now. A frame that could not be moved is
 * as it was.
 * Differs from Linux: a page that stays busy is tried five times, where offlining tries until it gets a signal.
 */
import type { Pfn } from '@holdfast/lib';
import type { Buddy } from './buddy.js';
import { busyFrames } from './buddy-range.js';
import type { MovablePages } from './movable-pages.js';

/** Frames `[startPfn, endPfn)`. */
export interface FrameRange {
  readonly startPfn: number;
  readonly endPfn: number;
}

export interface MigrateNeeds {
  readonly movable: MovablePages;
  /** A block outside of what is isolated; undefined without memory for it. */
  readonly allocTarget: (order: number) => Pfn | undefined;
  /** Copy the bytes of 2^order frames. */
  readonly copy: (from: Pfn, to: Pfn, order: number) => void;
  readonly free: (first: Pfn, order: number) => void;
}

/** Why a range could not be emptied: of a frame, what the log shall say before it shows the page. */
export interface Stuck {
  readonly pfn: Pfn;
  readonly line?: string;
  readonly reason: 'unmovable page' | 'migration failure';
}

const TRIES = 5;

/** Move everything out of isolated ranges. Returns what is in the way, before anything has moved if it is unmovable; undefined if they are empty. */
export function migrateAway(buddy: Buddy, ranges: readonly FrameRange[], needs: MigrateNeeds): Stuck | undefined {
  const unmovable = firstUnmovable(buddy, ranges, needs.movable);
  if (unmovable !== undefined) return { pfn: unmovable, reason: 'unmovable page' };
  let failed: Pfn[] = [];
  for (let tries = 0; tries < TRIES; tries++) {
    failed = ranges.flatMap((range) => migrateRange(buddy, range, needs));
    if (failed.length === 0) return undefined;
  }
  const pfn = failed[0]!;
  return { pfn, line: `migrating pfn ${pfn.toString(16)} failed ret:${failed.length} `, reason: 'migration failure' };
}

function firstUnmovable(buddy: Buddy, ranges: readonly FrameRange[], movable: MovablePages): Pfn | undefined {
  for (const { startPfn, endPfn } of ranges) {
    let movableEnd = startPfn;
    for (const frame of busyFrames(buddy, startPfn, endPfn)) {
      if (frame < movableEnd) continue;
      const found = movable.ownerOf(frame as Pfn);
      if (found === undefined) return frame as Pfn;
      movableEnd = frame + 2 ** found.order;
      if (movableEnd > endPfn) return frame as Pfn;
    }
  }
  return undefined;
}

/** One pass; returns the blocks that stayed. */
function migrateRange(buddy: Buddy, { startPfn, endPfn }: FrameRange, { movable, allocTarget, copy, free }: MigrateNeeds): Pfn[] {
  const stayed: Pfn[] = [];
  let done = startPfn;
  // All of them first: a frame that is freed merges with what is around it.
  for (const frame of [...busyFrames(buddy, startPfn, endPfn)]) {
    if (frame < done) continue;
    const from = frame as Pfn;
    const { owner, order } = movable.ownerOf(from)!;
    done = from + 2 ** order;
    const to = allocTarget(order);
    if (to !== undefined) copy(from, to, order);
    if (to !== undefined && owner.migrate(from, to)) free(from, order);
    else {
      if (to !== undefined) free(to, order);
      stayed.push(from);
    }
  }
  return stayed;
}
