/**
 * The machine's monitor: memory that is plugged and pulled while the machine runs. Takes the commands of QEMU's (hmp), with its answers.
 *
 * Invariant: a DIMM that is plugged is in the machine's address space, and the kernel that runs was told of it. It stays over a reboot.
 */
import { parseE820Text } from '@holdfast/e820';
import { parseNfit, parseSrat } from '@holdfast/acpi';
import type { Firmware, Kernel } from '@holdfast/kernel';
import { GIB, KernelError, MIB, type Range, hex, parseSize, roundUp } from '@holdfast/lib';
import { type Machine, type Medium, createDram } from '@holdfast/machine';

/** What the monitor answers to a command that it refuses. */
export class MonitorError extends Error {}

/** A DIMM as firmware tells the kernel of it. */
type MemoryDevice = NonNullable<Firmware['memoryDevices']>[number];

export interface Monitor {
  /** DIMMs that are plugged, by address: what firmware tells the kernel at the next boot. */
  memoryDevices(): readonly MemoryDevice[];
  /** Run a command line. `kernel` is the one that runs, if any. Returns what is printed. @throws MonitorError */
  run(line: string, kernel: Kernel | undefined): string;
}

interface Dimm extends MemoryDevice {
  readonly id: string;
  readonly memdev: string;
  readonly slot: number;
  readonly medium: Medium;
}

/** The grain of memory that backs a DIMM. */
const BACKEND_ALIGN = 2 * MIB;
const FOUR_GIB = 4 * GIB;

export function createMonitor(machine: Machine, firmware: Firmware): Monitor {
  /** Sizes by id. */
  const backends = new Map<string, number>();
  const dimms: Dimm[] = [];
  const layout = slotLayout(firmware, machine.cpu.physBits);

  const findDimm = (id: string | undefined): Dimm => {
    const dimm = dimms.find((each) => each.id === id);
    if (!dimm) throw new MonitorError(`Device '${id ?? ''}' not found`);
    return dimm;
  };

  function objectAdd(kind: string, props: Map<string, string>): void {
    if (kind !== 'memory-backend-ram') throw new MonitorError(`Parameter 'qom-type' does not accept value '${kind}'`);
    const id = needed(props, 'id');
    const sizeBytes = sizeOf(needed(props, 'size'));
    if (backends.has(id)) throw new MonitorError(`attempt to add duplicate property '${id}' to object (type 'container')`);
    backends.set(id, sizeBytes);
  }

  function objectDel(id: string): void {
    if (!backends.has(id)) throw new MonitorError(`object '${id}' not found`);
    if (dimms.some(({ memdev }) => memdev === id)) throw new MonitorError(`object '${id}' is in use, can not be deleted`);
    backends.delete(id);
  }

  function deviceAdd(kind: string, props: Map<string, string>, kernel: Kernel | undefined): void {
    if (kind !== 'pc-dimm') throw new MonitorError(`'${kind}' is not a valid device model name`);
    const memdev = needed(props, 'memdev');
    const sizeBytes = backends.get(memdev);
    const id = props.get('id') ?? `dimm-${memdev}`;
    if (sizeBytes === undefined) throw new MonitorError(`Device '${memdev}' not found`);
    if (dimms.some((dimm) => dimm.id === id)) throw new MonitorError(`Duplicate device ID '${id}'`);
    if (dimms.some((dimm) => dimm.memdev === memdev)) throw new MonitorError(`can't use already busy memdev: ${memdev}`);
    if (sizeBytes % BACKEND_ALIGN !== 0) throw new MonitorError(`backend memory size must be multiple of ${hex(BACKEND_ALIGN)}`);
    const given = props.get('addr');
    const start = given === undefined ? layout.firstFit(sizeBytes, spansOf(dimms)) : layout.check(Number(given), sizeBytes, spansOf(dimms));
    const medium = createDram(sizeBytes);
    machine.attach({ start, medium });
    const dimm = { id, memdev, slot: freeSlot(dimms), start, sizeBytes, pxm: Number(props.get('node') ?? 0), medium };
    dimms.push(dimm);
    kernel?.acpiMemory.deviceAdded(dimm);
  }

  /** The kernel is asked first: it may keep the DIMM, and the monitor does not learn of it. */
  function deviceDel(id: string, kernel: Kernel | undefined): void {
    const dimm = findDimm(id);
    if (kernel && !kernel.acpiMemory.ejectRequested(dimm)) return;
    machine.detach(dimm.medium);
    dimms.splice(dimms.indexOf(dimm), 1);
  }

  return {
    memoryDevices: () => dimms.toSorted((a, b) => a.start - b.start).map(({ start, sizeBytes, pxm }) => ({ start, sizeBytes, pxm })),
    run(line, kernel) {
      const [command = '', argument = '', ...rest] = line.trim().split(/\s+/);
      const { kind, props } = parseProps(argument);
      if (command === 'info' && argument === 'memory-devices') return describe(dimms);
      if (command === '' || argument === '' || rest.length > 0) throw new MonitorError(`${command}: ${rest.length > 0 ? 'extraneous characters at the end of line' : 'expected an argument'}`);
      if (command === 'object_add') objectAdd(kind, props);
      else if (command === 'object_del') objectDel(argument);
      else if (command === 'device_add') deviceAdd(kind, props, kernel);
      else if (command === 'device_del') deviceDel(argument, kernel);
      else throw new MonitorError(`unknown command: '${command}'; this monitor knows object_add, object_del, device_add, device_del, info memory-devices`);
      return '';
    },
  };
}

/** `kind,name=value,…` */
function parseProps(text: string): { kind: string; props: Map<string, string> } {
  const [kind = '', ...pairs] = text.split(',');
  const props = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    props.set(at < 0 ? pair : pair.slice(0, at), at < 0 ? 'on' : pair.slice(at + 1));
  }
  return { kind, props };
}

function needed(props: Map<string, string>, name: string): string {
  const value = props.get(name);
  if (value === undefined || value === '') throw new MonitorError(`Parameter '${name}' is missing`);
  return value;
}

function sizeOf(text: string): number {
  let sizeBytes = 0;
  try {
    sizeBytes = parseSize(text, 'size');
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  if (sizeBytes <= 0) throw new MonitorError(`Parameter 'size' expects a size above 0, such as 512M, not '${text}'`);
  return sizeBytes;
}

function freeSlot(dimms: readonly Dimm[]): number {
  let slot = 0;
  while (dimms.some((dimm) => dimm.slot === slot)) slot++;
  return slot;
}

function spansOf(dimms: readonly Dimm[]): Range[] {
  return dimms.map(({ start, sizeBytes }) => ({ start, end: start + sizeBytes }));
}

interface SlotLayout {
  /** The lowest address where a DIMM fits. @throws MonitorError */
  firstFit(sizeBytes: number, taken: readonly Range[]): number;
  /** An address that was asked for. @throws MonitorError */
  check(start: number, sizeBytes: number, taken: readonly Range[]): number;
}

/** DIMMs go behind the RAM above 4 GiB, from a multiple of 1 GiB on, one right behind the other; up to what the SRAT sets aside, if it does. */
function slotLayout(firmware: Firmware, physBits: number): SlotLayout {
  const { entries, extended } = parseE820Text(firmware.e820);
  const rows = [...entries, ...extended].map(({ addr, size, type }) => ({ start: Number(addr), end: Number(addr + size), type }));
  const ram = rows.filter(({ type, end }) => type === 1 && end > FOUR_GIB).map(({ end }) => end);
  const base = roundUp(Math.max(FOUR_GIB, ...ram), GIB);
  const pluggable = firmware.srat ? parseSrat(firmware.srat).memory.filter(({ enabled, hotPluggable }) => enabled && hotPluggable) : [];
  const limit = pluggable.length > 0 ? Math.max(...pluggable.map(({ start, length }) => start + length)) : 2 ** physBits;
  const nvdimms = firmware.nfit ? parseNfit(firmware.nfit).spaRanges.map(({ address, length }) => ({ start: address, end: address + length })) : [];
  const fixed = [...rows, ...nvdimms].filter(({ end }) => end > base);

  return {
    firstFit(sizeBytes, taken) {
      let start = base;
      for (const range of [...fixed, ...taken].sort((a, b) => a.start - b.start)) {
        if (range.start < start + sizeBytes && range.end > start) start = roundUp(range.end, BACKEND_ALIGN);
      }
      if (start + sizeBytes > limit) throw new MonitorError(`could not find position in guest address space for memory device of size ${hex(sizeBytes)}`);
      return start;
    },
    check(start, sizeBytes, taken) {
      const inside = start >= base && start + sizeBytes <= limit;
      if (!inside || !Number.isSafeInteger(start)) throw new MonitorError(`can't add memory device ${hex(start)}: usable range for memory devices [${hex(base)}:${hex(limit - base)}]`);
      if (start % BACKEND_ALIGN !== 0) throw new MonitorError(`address must be aligned to ${hex(BACKEND_ALIGN)} bytes`);
      const other = [...fixed, ...taken].find((range) => range.start < start + sizeBytes && range.end > start);
      if (other) throw new MonitorError(`address range conflicts with memory device at ${hex(other.start)}`);
      return start;
    },
  };
}

function describe(dimms: readonly Dimm[]): string {
  return dimms
    .toSorted((a, b) => a.start - b.start)
    .map(({ id, start, slot, pxm, sizeBytes, memdev }) =>
      [
        `Memory device [dimm]: "${id}"`,
        `  addr: ${hex(start)}`,
        `  slot: ${slot}`,
        `  node: ${pxm ?? 0}`,
        `  size: ${sizeBytes}`,
        `  memdev: /objects/${memdev}`,
        '  hotplugged: true',
        '  hotpluggable: true',
        '',
      ].join('\n'),
    )
    .join('');
}
