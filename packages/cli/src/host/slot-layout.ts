/**
 * Where memory devices go in the guest's address space, as QEMU places them: DIMMs, virtio-pmem and virtio-mem share one area.
 */
import { parseNfit, parseSrat } from '@holdfast/acpi';
import { parseE820Text } from '@holdfast/e820';
import { type Firmware, qemuHole64 } from '@holdfast/kernel';
import { GIB, MIB, type Range, hex, roundUp } from '@holdfast/lib';
import { MonitorError } from './monitor-error.js';

/** The grain of memory that backs a device. */
export const BACKEND_ALIGN = 2 * MIB;
const FOUR_GIB = 4 * GIB;

/** A DIMM that is in the machine when it is switched on, and in no memory map: `-device pc-dimm` of QEMU. */
export interface DimmPlan {
  readonly id: string;
  readonly memdev: string;
  readonly sizeBytes: number;
  /** The first place that is free, if left out. */
  readonly start?: number;
  readonly pxm?: number;
}

export interface SlotLayout {
  /** The lowest address where a device fits, in multiples of `align` (2 MiB). @throws MonitorError */
  firstFit(sizeBytes: number, taken: readonly Range[], align?: number): number;
  /** An address that was asked for. @throws MonitorError */
  check(start: number, sizeBytes: number, taken: readonly Range[]): number;
}

/**
 * Devices go behind the RAM above 4 GiB, from a multiple of 1 GiB on, one right behind the other; up to what the SRAT sets aside. Where it sets
 * nothing aside, QEMU would take no devices: here they go behind what the PCI host bridge decodes, if it does.
 */
export function slotLayout(firmware: Firmware, physBits: number): SlotLayout {
  const { entries, extended } = parseE820Text(firmware.e820);
  const rows = [...entries, ...extended].map(({ addr, size, type }) => ({ start: Number(addr), end: Number(addr + size), type }));
  const ram = rows.filter(({ type, end }) => type === 1 && end > FOUR_GIB).map(({ end }) => end);
  const pluggable = firmware.srat ? parseSrat(firmware.srat).memory.filter(({ enabled, hotPluggable }) => enabled && hotPluggable) : [];
  const bridge = pluggable.length === 0 ? qemuHole64(firmware, entries) : undefined;
  const base = bridge ? bridge.end + 1 : roundUp(Math.max(FOUR_GIB, ...ram), GIB);
  const limit = pluggable.length > 0 ? Math.max(...pluggable.map(({ start, length }) => start + length)) : 2 ** physBits;
  const nvdimms = firmware.nfit ? parseNfit(firmware.nfit).spaRanges.map(({ address, length }) => ({ start: address, end: address + length })) : [];
  const fixed = [...rows, ...nvdimms].filter(({ end }) => end > base);

  return {
    firstFit(sizeBytes, taken, align = BACKEND_ALIGN) {
      let start = roundUp(base, align);
      for (const range of [...fixed, ...taken].sort((a, b) => a.start - b.start)) {
        if (range.start < start + sizeBytes && range.end > start) start = roundUp(range.end, align);
      }
      if (start + sizeBytes > limit) throw new MonitorError(`could not find position in guest address space for memory device of size ${hex(sizeBytes)}`);
      return start;
    },
    check(start, sizeBytes, taken) {
      const inside = start >= base && start + sizeBytes <= limit;
      if (!inside || !Number.isSafeInteger(start)) {
        throw new MonitorError(`can't add memory device ${hex(start)}: usable range for memory devices [${hex(base)}:${hex(limit - base)}]`);
      }
      if (start % BACKEND_ALIGN !== 0) throw new MonitorError(`address must be aligned to ${hex(BACKEND_ALIGN)} bytes`);
      const other = [...fixed, ...taken].find((range) => range.start < start + sizeBytes && range.end > start);
      if (other) throw new MonitorError(`address range conflicts with memory device at ${hex(other.start)}`);
      return start;
    },
  };
}

