/**
 * The machine's monitor: memory that is plugged and pulled while the machine runs. Takes the commands of QEMU's (hmp), with its answers.
 *
 * Invariant: a DIMM that is plugged is in the machine's address space, and the kernel that runs was told of it. It stays over a reboot.
 */
import type { Firmware, Kernel } from '@holdfast/kernel';
import { KernelError, type Range, hex, parseSize } from '@holdfast/lib';
import { type Machine, type Medium, type VirtioMem, createDram } from '@holdfast/machine';
import type { HostDevice } from '../virtio-devices.js';
import { MonitorError } from './monitor-error.js';
import { BACKEND_ALIGN, type DimmPlan, slotLayout } from './slot-layout.js';

/** A DIMM as firmware tells the kernel of it. */
type MemoryDevice = NonNullable<Firmware['memoryDevices']>[number];

export interface Monitor {
  /** DIMMs that are plugged, by slot: what firmware tells the kernel at the next boot. */
  memoryDevices(): readonly MemoryDevice[];
  /** Run a command line. `kernel` is the one that runs, if any. Returns what is printed. @throws MonitorError */
  run(line: string, kernel: Kernel | undefined): string;
  /** Take all DIMMs out of the machine, which is off. */
  close(): void;
}

interface Dimm extends MemoryDevice {
  readonly id: string;
  readonly memdev: string;
  readonly slot: number;
  readonly medium: Medium;
  /** False: it was there when the machine was switched on. */
  readonly hotplugged: boolean;
}

/** What was there when the machine was switched on. */
export interface MonitorDevices {
  readonly virtio?: readonly HostDevice[];
  readonly dimms?: readonly DimmPlan[];
}

/** @throws MonitorError for DIMMs that QEMU would not start with */
export function createMonitor(machine: Machine, firmware: Firmware, { virtio = [], dimms: plans = [] }: MonitorDevices = {}): Monitor {
  /** Sizes by id. */
  const backends = new Map<string, number>();
  const dimms: Dimm[] = [];
  const layout = slotLayout(firmware, machine.cpu.physBits);

  const taken = (): Range[] => [
    ...dimms.map(({ start, sizeBytes }) => ({ start, end: start + sizeBytes })),
    ...virtio.map(({ start, sizeBytes }) => ({ start, end: start + sizeBytes })),
  ];

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
    const given = props.get('addr');
    const plan = { id, memdev, sizeBytes, pxm: Number(props.get('node') ?? 0), ...(given === undefined ? {} : { start: Number(given) }) };
    kernel?.acpiMemory.deviceAdded(plug(plan, true));
  }

  function plug({ id, memdev, sizeBytes, start: given, pxm = 0 }: DimmPlan, hotplugged: boolean): Dimm {
    if (sizeBytes % BACKEND_ALIGN !== 0) throw new MonitorError(`backend memory size must be multiple of ${hex(BACKEND_ALIGN)}`);
    const start = given === undefined ? layout.firstFit(sizeBytes, taken()) : layout.check(given, sizeBytes, taken());
    const medium = createDram(sizeBytes);
    machine.attach({ start, medium });
    const dimm = { id, memdev, slot: freeSlot(dimms), start, sizeBytes, pxm, medium, hotplugged };
    dimms.push(dimm);
    return dimm;
  }

  /** The kernel is asked first: it may keep the DIMM, and the monitor does not learn of it. */
  function deviceDel(id: string, kernel: Kernel | undefined): void {
    const dimm = findDimm(id);
    if (kernel && !kernel.acpiMemory.ejectRequested(dimm)) return;
    machine.detach(dimm.medium);
    dimms.splice(dimms.indexOf(dimm), 1);
  }

  /** Properties of devices: the one that may change. */
  function qomSet(path: string, property: string, value: string): void {
    const id = path.split('/').at(-1);
    const device = virtio.find((each) => each.id === id);
    if (!device) throw new MonitorError(`Device '${path}' not found`);
    if (device.hardware.kind !== 'mem' || property !== 'requested-size') {
      throw new MonitorError(`Property '${device.id}.${property}' is not one that can be set`);
    }
    try {
      device.hardware.request(sizeOf(value, 0));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new MonitorError(error.message);
    }
  }

  for (const plan of plans) {
    backends.set(plan.memdev, plan.sizeBytes);
    plug(plan, false);
  }
  return {
    close() {
      for (const { medium } of dimms.splice(0)) machine.detach(medium);
    },
    memoryDevices: () => dimms.toSorted((a, b) => a.slot - b.slot).map(({ start, sizeBytes, pxm }) => ({ start, sizeBytes, pxm })),
    run(line, kernel) {
      const [command = '', argument = '', ...rest] = line.trim().split(/\s+/);
      const { kind, props } = parseProps(argument);
      if (command === 'info' && argument === 'memory-devices') return describeDimms(dimms) + virtio.map(describeVirtio).join('');
      if (command === 'qom-set' && rest.length === 2) {
        qomSet(argument, rest[0]!, rest[1]!);
        return '';
      }
      if (command === '' || argument === '' || rest.length > 0) {
        throw new MonitorError(`${command}: ${rest.length > 0 ? 'extraneous characters at the end of line' : 'expected an argument'}`);
      }
      if (command === 'object_add') objectAdd(kind, props);
      else if (command === 'object_del') objectDel(argument);
      else if (command === 'device_add') deviceAdd(kind, props, kernel);
      else if (command === 'device_del') deviceDel(argument, kernel);
      else {
        throw new MonitorError(
          `unknown command: '${command}'; this monitor knows object_add, object_del, device_add, device_del, qom-set, info memory-devices`,
        );
      }
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

function sizeOf(text: string, least = 1): number {
  let sizeBytes = -1;
  try {
    sizeBytes = parseSize(text, 'size');
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  if (sizeBytes < least) throw new MonitorError(`Parameter 'size' expects a size above 0, such as 512M, not '${text}'`);
  return sizeBytes;
}

function freeSlot(dimms: readonly Dimm[]): number {
  let slot = 0;
  while (dimms.some((dimm) => dimm.slot === slot)) slot++;
  return slot;
}

function describeDimms(dimms: readonly Dimm[]): string {
  return dimms
    .toSorted((a, b) => a.start - b.start)
    .map(({ id, start, slot, pxm, sizeBytes, memdev, hotplugged }) =>
      [
        `Memory device [dimm]: "${id}"`,
        `  addr: ${hex(start)}`,
        `  slot: ${slot}`,
        `  node: ${pxm ?? 0}`,
        `  size: ${sizeBytes}`,
        `  memdev: /objects/${memdev}`,
        `  hotplugged: ${String(hotplugged)}`,
        '  hotpluggable: true',
        '',
      ].join('\n'),
    )
    .join('');
}

function describeVirtio({ id, start, sizeBytes, hardware }: HostDevice): string {
  const lines = [
    `Memory device [virtio-${hardware.kind}]: "${id}"`,
    `  memaddr: ${hex(start)}`,
    ...(hardware.kind === 'mem' ? sizesOf(hardware) : [`  size: ${sizeBytes}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function sizesOf({ pxm, requestedSize, pluggedSize, regionSize, blockSize }: VirtioMem): string[] {
  return [`  node: ${pxm}`, `  requested-size: ${requestedSize}`, `  size: ${pluggedSize}`, `  max-size: ${regionSize}`, `  block-size: ${blockSize}`];
}
