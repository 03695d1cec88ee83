/**
 * A function of a PCI card, as hardware: its configuration space, and what its base address registers decode.
 * Follows the PCI Local Bus Specification 3.0, 6.2.5: the low bits of a base address register are wired, the others hold what is
 * written, and so tell the size when ones are written.
 *
 * Invariant: while the command register's bit for a space is off, the function decodes nothing in it.
 */
import { KernelError, hex, isPowerOf2, roundUpPow2 } from '@holdfast/lib';
import { type Medium, CHUNK_SIZE } from '@holdfast/machine';
import {
  PCI, PCI_BASE_ADDRESS, PCI_CAP_ID_EXP, PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE, PCI_COMMAND, PCI_STATUS_CAP_LIST, PCI_STD_NUM_BARS,
} from './pci-regs.js';

/** Registers behind a BAR: 32-bit words at multiples of four, with whatever side effects the device has. */
export interface PciRegisters {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** What a BAR shows: memory of a medium, or registers. Sizes are powers of two; of memory, its own size rounded up if left out. */
export interface PciBarSpec {
  readonly sizeBytes?: number;
  readonly width: 32 | 64;
  readonly prefetchable?: boolean;
  readonly medium?: Medium;
  readonly registers?: PciRegisters;
}

export interface PciFunctionSpec {
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor?: number;
  readonly subsystemDevice?: number;
  /** Base class, sub class and programming interface: 24 bits. */
  readonly classCode: number;
  readonly revision?: number;
  /** PCI Express: 4 KiB of configuration space. */
  readonly express?: boolean;
  /** By number; a 64-bit one takes the next number, too. */
  readonly bars?: Readonly<Partial<Record<number, PciBarSpec>>>;
}

/** A BAR of a live function. */
export interface PciFunctionBar {
  readonly index: number;
  readonly sizeBytes: number;
  readonly spec: PciBarSpec;
}

/** Told where a function decodes a BAR from now on; undefined for nowhere. */
export type DecodeListener = (bar: PciFunctionBar, start: number | undefined) => void;

/** Hardware: what a slot holds. */
export interface PciFunction {
  readonly spec: PciFunctionSpec;
  readonly bars: readonly PciFunctionBar[];
  /** `size` is 1, 2 or 4 bytes, `offset` a multiple of it; ones behind the end of the space. */
  readConfig(offset: number, size: number): number;
  writeConfig(offset: number, size: number, value: number): void;
  /** Power on, or the bus's reset line: registers as they came from the factory. */
  reset(): void;
  /** Who is to hear of decoding: one at a time. */
  connect(listener: DecodeListener | undefined): void;
  /** May it read and write memory (command register, bus master)? */
  readonly isBusMaster: boolean;
}

const EXPRESS_CAPABILITY = 0x40;
/** Version 2, an endpoint. */
const EXPRESS_ENDPOINT = 0x0002;

/** @throws KernelError EINVAL for BARs that no function can have. */
export function createPciFunction(spec: PciFunctionSpec): PciFunction {
  const bars = Object.entries(spec.bars ?? {}).map(([index, bar]) => checkBar(spec, Number(index), bar!));
  const bytes = new DataView(new ArrayBuffer(spec.express === true ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE));
  const writable = new DataView(new ArrayBuffer(bytes.byteLength));
  const decoded = new Map<PciFunctionBar, number>();
  let listener: DecodeListener | undefined;

  function decode(): void {
    const isOn = (bytes.getUint16(PCI.COMMAND, true) & PCI_COMMAND.MEMORY) !== 0;
    for (const bar of bars) {
      const start = isOn ? barAddress(bytes, bar) : undefined;
      if (decoded.get(bar) === start) continue;
      if (start === undefined) decoded.delete(bar);
      else decoded.set(bar, start);
      listener?.(bar, start);
    }
  }

  function reset(): void {
    initConfig(bytes, writable, spec, bars);
    decode();
  }

  reset();
  return {
    spec,
    bars,
    readConfig(offset, size) {
      if (offset + size > bytes.byteLength) return 2 ** (8 * size) - 1;
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes.getUint8(offset + i);
      return value;
    },
    writeConfig(offset, size, value) {
      for (let i = 0; i < size && offset + i < bytes.byteLength; i++) {
        const mask = writable.getUint8(offset + i);
        const byte = Math.floor(value / 256 ** i) % 256;
        bytes.setUint8(offset + i, (bytes.getUint8(offset + i) & ~mask) | (byte & mask));
      }
      decode();
    },
    reset,
    connect(to) {
      listener = to;
      if (to) for (const [bar, start] of decoded) to(bar, start);
    },
    get isBusMaster() {
      return (bytes.getUint16(PCI.COMMAND, true) & PCI_COMMAND.MASTER) !== 0;
    },
  };
}

function initConfig(bytes: DataView, writable: DataView, spec: PciFunctionSpec, bars: readonly PciFunctionBar[]): void {
  for (let at = 0; at < bytes.byteLength; at++) bytes.setUint8(at, 0);
  bytes.setUint16(PCI.VENDOR_ID, spec.vendor, true);
  bytes.setUint16(PCI.DEVICE_ID, spec.device, true);
  bytes.setUint32(PCI.CLASS_REVISION, spec.classCode * 256 + (spec.revision ?? 0), true);
  bytes.setUint16(PCI.SUBSYSTEM_VENDOR_ID, spec.subsystemVendor ?? spec.vendor, true);
  bytes.setUint16(PCI.SUBSYSTEM_ID, spec.subsystemDevice ?? spec.device, true);
  bytes.setUint8(PCI.INTERRUPT_PIN, 1);
  writable.setUint16(PCI.COMMAND, PCI_COMMAND.MEMORY | PCI_COMMAND.MASTER, true);
  writable.setUint8(PCI.INTERRUPT_LINE, 0xff);
  for (const { index, sizeBytes, spec: bar } of bars) {
    const at = PCI.BASE_ADDRESS_0 + 4 * index;
    const wide = bar.width === 64;
    bytes.setUint32(at, (wide ? PCI_BASE_ADDRESS.MEM_TYPE_64 : 0) | (bar.prefetchable === true ? PCI_BASE_ADDRESS.MEM_PREFETCH : 0), true);
    const mask = BigInt.asUintN(64, -BigInt(sizeBytes));
    writable.setUint32(at, Number(mask & 0xffffffffn), true);
    if (wide) writable.setUint32(at + 4, Number(mask >> 32n), true);
  }
  if (spec.express !== true) return;
  bytes.setUint16(PCI.STATUS, PCI_STATUS_CAP_LIST, true);
  bytes.setUint8(PCI.CAPABILITY_LIST, EXPRESS_CAPABILITY);
  bytes.setUint8(EXPRESS_CAPABILITY, PCI_CAP_ID_EXP);
  bytes.setUint16(EXPRESS_CAPABILITY + 2, EXPRESS_ENDPOINT, true);
}

/** The address that a BAR holds; undefined for one that no bus reaches. */
function barAddress(bytes: DataView, { index, spec: { width } }: PciFunctionBar): number | undefined {
  const at = PCI.BASE_ADDRESS_0 + 4 * index;
  const low = bytes.getUint32(at, true);
  const address = (width === 64 ? bytes.getUint32(at + 4, true) : 0) * 2 ** 32 + low - (low % 16);
  return Number.isSafeInteger(address) ? address : undefined;
}

function checkBar({ bars = {} }: PciFunctionSpec, index: number, spec: PciBarSpec): PciFunctionBar {
  const sizeBytes = spec.sizeBytes ?? roundUpPow2(spec.medium?.sizeBytes ?? 0);
  const fail = (why: string): KernelError => new KernelError('EINVAL', `PCI function: BAR ${index} of ${hex(sizeBytes)} bytes: ${why}`);
  const last = spec.width === 64 ? index + 1 : index;
  if (!Number.isInteger(index) || index < 0 || last >= PCI_STD_NUM_BARS) throw fail(`there are BARs 0 to ${PCI_STD_NUM_BARS - 1}`);
  if (last !== index && bars[last]) throw fail('its upper half is a BAR of its own');
  if (!isPowerOf2(sizeBytes) || sizeBytes < 16 || sizeBytes > 2 ** (spec.width === 64 ? 52 : 31)) throw fail('expected a power of two that its width can hold');
  if ((spec.medium === undefined) === (spec.registers === undefined)) throw fail('expected a medium or registers');
  if (spec.medium && spec.medium.sizeBytes > sizeBytes) throw fail(`its medium has ${hex(spec.medium.sizeBytes)}`);
  if (spec.registers && sizeBytes > CHUNK_SIZE) throw fail('more registers than a page table entry maps');
  return { index, sizeBytes, spec };
}
