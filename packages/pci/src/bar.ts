/**
 * Base address registers: what they ask for, and how the log writes it. Mirrors drivers/pci/probe.c: __pci_read_base, pci_size,
 * decode_bar; drivers/pci/setup-res.c: pci_std_update_resource; lib/vsprintf.c: resource_string.
 *
 * Invariant: a BAR that is returned has a size that is a power of two, whatever the hardware answers.
 */
import { KERN, type Printk, hex } from '@holdfast/lib';
import { type DeviceConfig, type PciBar } from './pci-device.js';
import { ALL_ONES, PCI, PCI_BASE_ADDRESS, PCI_COMMAND, PCI_ROM_RESOURCE, PCI_STD_NUM_BARS } from './pci-regs.js';

const U32 = 0xffffffffn;
const U64 = 2n ** 64n - 1n;
/** Ports that x86 has. */
const IO_SPACE = 0xffffn;
const ROM_ENABLE = 1;
const ROM_FLAGS = 0x7ff;

/** Read all BARs and the ROM of an ordinary function, logging each. Decoding is off meanwhile (pci_read_bases). */
export function readBars(config: DeviceConfig, say: Printk): PciBar[] {
  const command = config.read(PCI.COMMAND, 2);
  const decoding = command & (PCI_COMMAND.IO | PCI_COMMAND.MEMORY);
  if (decoding !== 0) config.write(PCI.COMMAND, 2, command & ~decoding);
  const bars: PciBar[] = [];
  for (let index = 0; index < PCI_STD_NUM_BARS; index++) {
    const bar = readBar(config, index, say);
    if (!bar) continue;
    bars.push(bar);
    if (bar.is64) index++;
  }
  const rom = readRom(config, say);
  if (decoding !== 0) config.write(PCI.COMMAND, 2, command);
  return rom ? [...bars, rom] : bars;
}

/** Write ones, see what sticks, and put back what was there. */
function sizeRegister(config: DeviceConfig, at: number, probe: number): { held: number; stuck: number } {
  const held = config.read(at, 4);
  config.write(at, 4, probe);
  const stuck = config.read(at, 4);
  config.write(at, 4, held);
  // All ones is no answer of a working device: its flags alone rule it out.
  return { held: held === ALL_ONES ? 0 : held, stuck: stuck === ALL_ONES ? 0 : stuck };
}

function readBar(config: DeviceConfig, index: number, say: Printk): PciBar | undefined {
  const at = PCI.BASE_ADDRESS_0 + 4 * index;
  const low = sizeRegister(config, at, ALL_ONES);
  const isIo = (low.held & PCI_BASE_ADDRESS.SPACE_IO) !== 0;
  const is64 = !isIo && (low.held & PCI_BASE_ADDRESS.MEM_TYPE_MASK) === PCI_BASE_ADDRESS.MEM_TYPE_64;
  const flagMask = isIo ? PCI_BASE_ADDRESS.IO_FLAGS : PCI_BASE_ADDRESS.MEM_FLAGS;
  let mask = BigInt(ALL_ONES - flagMask);
  let held = BigInt(low.held) & mask;
  let stuck = BigInt(low.stuck) & mask;
  if (isIo) mask &= IO_SPACE;
  // The last register has no upper half behind it: one that claims to be 64 bits wide is read as it stands.
  if (is64 && index + 1 < PCI_STD_NUM_BARS) {
    const high = wholeRegister(config, at + 4);
    held |= BigInt(high.held) << 32n;
    stuck |= BigInt(high.stuck) << 32n;
    mask |= U32 << 32n;
  }
  return describeBar({ index, held, stuck, mask, isIo, is64, wiredBits: low.held & flagMask, at }, say);
}

/** The upper half of a 64-bit BAR may well be all ones. */
function wholeRegister(config: DeviceConfig, at: number): { held: number; stuck: number } {
  const held = config.read(at, 4);
  config.write(at, 4, ALL_ONES);
  const stuck = config.read(at, 4);
  config.write(at, 4, held);
  return { held, stuck };
}

interface Raw {
  readonly index: number;
  readonly held: bigint;
  readonly stuck: bigint;
  readonly mask: bigint;
  readonly isIo: boolean;
  readonly is64: boolean;
  readonly wiredBits: number;
  /** Where its register is. */
  readonly at: number;
}

function describeBar({ index, held, stuck, mask, isIo, is64, wiredBits, at }: Raw, say: Printk): PciBar | undefined {
  if (stuck === 0n) return undefined;
  const size = barSize(held, stuck, mask);
  if (size === 0n) {
    say(`[Firmware Bug]: reg ${hex(at)}: invalid BAR (can't size)`, KERN.err);
    return undefined;
  }
  const prefetchable = !isIo && (wiredBits & PCI_BASE_ADDRESS.MEM_PREFETCH) !== 0;
  const bar: PciBar = { index, kind: isIo ? 'io' : 'mem', is64, prefetchable, sizeBytes: Number(size), wiredBits, start: Number(held), resource: undefined };
  say(`reg ${hex(at)}: ${formatRange(bar, held, held + size - 1n)}`);
  return bar;
}

/** The lowest bit that sticks is the size. 0 if what is held and what sticks do not fit together (pci_size). */
function barSize(held: bigint, stuck: bigint, mask: bigint): bigint {
  const bits = stuck & mask;
  if (bits === 0n) return 0n;
  const lowest = bits & (-bits & U64);
  if (held === stuck && ((held | (lowest - 1n)) & mask) !== mask) return 0n;
  return lowest;
}

function readRom(config: DeviceConfig, say: Printk): PciBar | undefined {
  const { held, stuck } = sizeRegister(config, PCI.ROM_ADDRESS, ALL_ONES - ROM_FLAGS);
  const mask = BigInt(ALL_ONES - ROM_FLAGS);
  const raw = {
    index: PCI_ROM_RESOURCE,
    held: BigInt(held) & mask,
    stuck: BigInt(stuck) & mask,
    mask,
    isIo: false,
    is64: false,
    wiredBits: PCI_BASE_ADDRESS.MEM_PREFETCH,
    at: PCI.ROM_ADDRESS,
  };
  const rom = describeBar(raw, say);
  return rom && { ...rom, wiredBits: held & ROM_ENABLE };
}

/** Tell the function the address of one of its BARs; it decodes nothing while half of it is written. */
export function writeBar(config: DeviceConfig, bar: PciBar, start: number): void {
  const at = bar.index === PCI_ROM_RESOURCE ? PCI.ROM_ADDRESS : PCI.BASE_ADDRESS_0 + 4 * bar.index;
  const command = config.read(PCI.COMMAND, 2);
  if (bar.is64) config.write(PCI.COMMAND, 2, command & ~PCI_COMMAND.MEMORY);
  config.write(at, 4, (start % 2 ** 32) + bar.wiredBits);
  if (bar.is64) config.write(at + 4, 4, Math.floor(start / 2 ** 32));
  if (bar.is64) config.write(PCI.COMMAND, 2, command);
}

/** As `%pR`: `[mem 0x380000000000-0x38003fffffff 64bit pref]`, or with its size while it has no address. */
export function formatBar(bar: PciBar): string {
  if (bar.start === undefined) {
    const size =
      bar.kind === 'io' ? `[io  size 0x${bar.sizeBytes.toString(16).padStart(4, '0')}` : `[mem size 0x${bar.sizeBytes.toString(16).padStart(8, '0')}`;
    return size + suffix(bar);
  }
  return formatRange(bar, BigInt(bar.start), BigInt(bar.start) + BigInt(bar.sizeBytes) - 1n);
}

function formatRange(bar: Pick<PciBar, 'kind' | 'is64' | 'prefetchable'>, start: bigint, end: bigint): string {
  const digits = (value: bigint): string => `0x${(value & U64).toString(16).padStart(bar.kind === 'io' ? 4 : 8, '0')}`;
  return `[${bar.kind === 'io' ? 'io  ' : 'mem '}${digits(start)}-${digits(end)}${suffix(bar)}`;
}

function suffix({ is64, prefetchable }: Pick<PciBar, 'is64' | 'prefetchable'>): string {
  return `${is64 ? ' 64bit' : ''}${prefetchable ? ' pref' : ''}]`;
}
