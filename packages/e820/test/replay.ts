/** The memory map's whole part in a boot, as a kernel calls it, with what it said and what it left. */
import { type KernelRelease, type LogLevel, createIomem, createResource, hex, insertResource, parseCmdline, walkResources } from '@holdfast/lib';
import {
  type E820Firmware, applyLateE820Edits, finishE820EarlyParams, firmwareMemmapOf, registerNosaveRegions, removeEfiMmio,
  reserveE820ResourcesEarly, reserveE820ResourcesLate, setupE820Memory, setupPciGap, trimE820Table,
} from '../src/index.js';

/** `[_text, _end)` of the captured kernel; in the other logs it only has to lie in RAM. */
const KERNEL_IMAGE = { start: 0x1000000, end: 0x4430000 };

export interface LogLine {
  readonly text: string;
  readonly level: LogLevel;
}

export interface Replay {
  readonly lines: readonly LogLine[];
  /** As `start-end type`, the files of /sys/firmware/memmap. */
  readonly firmwareMemmap: string[];
  /** As `start-end name`, depth first. */
  readonly iomem: string[];
}

/** `pciWindows` are what the host bridge claims between the early and the late resources, as `0x…-0x…`, the end inclusive. */
export function replay(
  firmware: E820Firmware, cmdline: string, release: KernelRelease, maxArchPfn: number, pciWindows: readonly string[] = [],
): Replay {
  const lines: LogLine[] = [];
  const log = { release, printk: (text: string, level: LogLevel = 6) => void lines.push({ text, level }) };
  const setup = setupE820Memory({ firmware, params: parseCmdline(cmdline), maxArchPfn, ...log });
  finishE820EarlyParams(setup);
  const { table } = setup;
  removeEfiMmio(table, firmware.efiMmio, log);
  const limits = trimE820Table(setup, KERNEL_IMAGE);
  applyLateE820Edits(table, firmware.lateEdits, log);

  const iomem = createIomem();
  const resources = reserveE820ResourcesEarly(table, iomem, release);
  registerNosaveRegions(table, limits.maxPfn, log);
  setupPciGap(table, limits.maxPfn, log);
  for (const window of pciWindows) {
    const [start, end] = window.split('-').map(Number);
    insertResource(iomem, createResource({ name: 'PCI Bus 0000:00', start: start!, end: end! }));
  }
  reserveE820ResourcesLate(table, resources, iomem, log);
  return {
    lines,
    firmwareMemmap: firmwareMemmapOf(setup.firmwareEntries, release).map(({ start, end, type }) => `${start}-${end} ${type}`),
    iomem: [...walkResources(iomem)].map(({ resource: { start, end, name } }) => `${hex(start)}-${hex(end)} ${name}`),
  };
}
