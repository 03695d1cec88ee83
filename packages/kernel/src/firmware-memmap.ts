/**
 * /sys/firmware/memmap: the map that firmware gave, and what was plugged since. Mirrors drivers/firmware/memmap.c.
 */
import { hex } from '@holdfast/lib';
import type { FirmwareMemmapEntry } from '@holdfast/e820';
import type { FirmwareMap } from '@holdfast/memory-hotplug';

export interface FirmwareMemmap extends FirmwareMap {
  /** By number of their directories; a number is never used again. */
  readonly entries: ReadonlyMap<number, FirmwareMemmapEntry>;
  /** firmware_memmap_init: the rows of the boot get their numbers, behind memory that was added before. */
  showBootRows(): void;
}

export function createFirmwareMemmap(boot: readonly FirmwareMemmapEntry[]): FirmwareMemmap {
  const entries = new Map<number, FirmwareMemmapEntry>();
  let next = 0;
  const entryOf = (start: number, end: number, type: string): FirmwareMemmapEntry => ({ start: hex(start), end: hex(end - 1), type });
  return {
    entries,
    showBootRows() {
      for (const row of boot) entries.set(next++, row);
    },
    add(start, end, type) {
      entries.set(next++, entryOf(start, end, type));
    },
    remove(start, end, type) {
      const gone = entryOf(start, end, type);
      for (const [nr, entry] of entries) if (entry.start === gone.start && entry.end === gone.end && entry.type === type) entries.delete(nr);
    },
  };
}
