/**
 * Who wants to know of memory that goes online and offline. Mirrors include/linux/memory.h: struct memory_notify, and the online_page
 * callback of mm/memory_hotplug.c.
 */
import type { Pfn, Range } from '@holdfast/lib';
import type { ZoneId } from './memory-onliner.js';

/** Each call is about the frames of one memory block, and may be of memory that is not the listener's. */
export interface MemoryNotifier {
  /** @throws KernelError to forbid it */
  goingOnline?(frames: Range<Pfn>): void;
  /** The parts of it that must not be touched: whole pageblocks, ascending. They go online without being handed to the allocator. */
  notPlugged?(frames: Range<Pfn>): readonly Range<Pfn>[];
  online?(frames: Range<Pfn>, zone: ZoneId): void;
  offline?(frames: Range<Pfn>): void;
}
