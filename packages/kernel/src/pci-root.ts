/**
 * The host bridge's windows in the resource tree. Mirrors drivers/acpi/pci_root.c and arch/x86/pci/acpi.c, which read them from ACPI's
 * _CRS; here they are inferred from the firmware's own map, since a firmware description has no AML.
 *
 * A bridge decodes the hole that the firmware left below 4 GiB, from its start (the top of low memory) to the IOAPIC. A PCI Express bridge
 * leaves out of it where its configuration space is mapped, a reserved row of its own (MMCONFIG; Intel's chipsets, QEMU's q35). A machine with
 * slots also decodes the top eighth of its physical addresses, where SeaBIOS places 64-bit BARs, as far as no memory is there. Without them,
 * QEMU's bridges decode 2 GiB (i440fx) or 32 GiB (q35) behind all memory that the machine may get (pci_hole64_fix in hw/pci-host/i440fx.c and
 * q35.c); of other machines nothing is known above 4 GiB.
 */
import { parseNfit, parseSrat } from '@holdfast/acpi';
import {
  type KernelRelease, GIB, MIB, type Pfn, type Resource, createResource, insertResourceExpandToFit, roundUp, silentPrintk, tryInsertResource,
} from '@holdfast/lib';
import { type E820Entry, E820_TYPE_RAM, E820_TYPE_RESERVED, createE820Table, setupPciGap } from '@holdfast/e820';
import type { Pci } from '@holdfast/pci';
import type { Firmware } from './boot-options.js';
import type { Initcall } from './initcalls.js';
import type { Arch } from './setup-arch.js';

const IOAPIC_BASE = 0xfec00000;
/** Where SeaBIOS, a ROM of 256 KiB, begins on QEMU. */
const SEABIOS_ROM = 0xfffc0000;
/** Of configuration space: 32 devices of 8 functions of 4 KiB. */
const BYTES_PER_BUS = MIB;

export interface PciRootNeeds {
  readonly arch: Pick<Arch, 'e820' | 'maxPfn'>;
  readonly firmware: Firmware;
  readonly iomem: Resource;
  readonly physBits: number;
  readonly release: KernelRelease;
}

/** What is done at which step of a boot; without `pci` there are no slots to look into. */
export function pciInitcalls(needs: PciRootNeeds, pci: Pci | undefined): Record<'scan' | 'insertMmconfig' | 'claim' | 'assign', Initcall['run']> {
  return {
    scan() {
      const { arch, iomem, release } = needs;
      const low = hostBridgeWindows(arch.e820.firmwareEntries, arch.maxPfn, release).map(({ start, end }) => insertWindow(iomem, start, end));
      const span = pci ? highestAddresses(needs) : qemuHole64(needs.firmware, arch.e820.firmwareEntries);
      const high = span && insertWindow(iomem, span.start, span.end);
      pci?.scan([...low, ...(high ? [high] : [])]);
    },
    insertMmconfig() {
      const ecam = configSpace(needs.arch.e820.firmwareEntries);
      if (!ecam) return;
      const lastBus = (ecam.end - ecam.start) / BYTES_PER_BUS - 1;
      const name = `PCI MMCONFIG 0000 [bus 00-${lastBus.toString(16).padStart(2, '0')}]`;
      tryInsertResource(needs.iomem, createResource({ name, start: ecam.start, end: ecam.end - 1, busy: true }));
    },
    claim: () => pci?.claimResources(),
    assign: () => pci?.assignResources(),
  };
}

/** `[start, end)` bytes. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** What the bridge decodes below 4 GiB, ends inclusive, for the tree between the early and the late ranges of the map: what it holds back is no free gap. */
export function hostBridgeWindows(firmwareEntries: readonly E820Entry[], maxPfn: Pfn, release: KernelRelease): Span[] {
  const gap = setupPciGap(createE820Table(firmwareEntries), maxPfn, { printk: silentPrintk, release });
  const ecam = configSpace(firmwareEntries);
  const holes = [{ start: gap.start, end: gap.start + gap.size }, ...(ecam ? holesAround(firmwareEntries, ecam) : [])];
  return holes
    .map(({ start, end }) => ({ start, end: Math.min(end, IOAPIC_BASE) - 1 }))
    .filter(({ start, end }, index, all) => start < end && all.findIndex((other) => other.start === start) === index)
    .sort((a, b) => a.start - b.start);
}

/** The row of 64, 128 or 256 buses' configuration space, at a multiple of its size, with a hole at a side of it. */
function configSpace(firmwareEntries: readonly E820Entry[]): Span | undefined {
  return firmwareEntries
    .filter(({ type }) => type === E820_TYPE_RESERVED)
    .map(({ addr, size }) => ({ start: Number(addr), end: Number(addr + size) }))
    .find((row) => {
      const size = row.end - row.start;
      const isConfigSpace = [64, 128, 256].includes(size / BYTES_PER_BUS) && row.start % size === 0 && row.start > 0 && row.end <= IOAPIC_BASE;
      return isConfigSpace && holesAround(firmwareEntries, row).length > 0;
    });
}

/** The holes of the map that touch a row. */
function holesAround(firmwareEntries: readonly E820Entry[], { start, end }: Span): Span[] {
  const rows = firmwareEntries.map(({ addr, size }) => ({ start: Number(addr), end: Number(addr + size) }));
  const below = Math.max(0, ...rows.filter((row) => row.end <= start).map((row) => row.end));
  const above = Math.min(IOAPIC_BASE, ...rows.filter((row) => row.start >= end).map((row) => row.start));
  return [{ start: below, end: start }, { start: end, end: above }].filter((hole) => hole.end > hole.start);
}

/** The top eighth, behind all memory that firmware knows of, ends inclusive; undefined if that leaves nothing. */
function highestAddresses({ arch, firmware, physBits }: PciRootNeeds): Span | undefined {
  const top = 2 ** physBits;
  const start = roundUp(Math.max(top - top / 8, memoryEnd(firmware, arch.e820.firmwareEntries)), GIB);
  return start < top ? { start, end: top - 1 } : undefined;
}

/** What QEMU's bridge decodes above 4 GiB, ends inclusive; undefined on any other machine. */
export function qemuHole64(firmware: Firmware, firmwareEntries: readonly E820Entry[]): Span | undefined {
  if ((firmware.takesMemory === true && firmware.srat === undefined) || !isQemu(firmwareEntries)) return undefined;
  const start = roundUp(Math.max(4 * GIB, memoryEnd(firmware, firmwareEntries)), GIB);
  return { start, end: start + (configSpace(firmwareEntries) ? 32 : 2) * GIB - 1 };
}

/** SeaBIOS as QEMU runs it: beside its ROM, it reserves the end of low memory for its tables, where VirtualBox has a row of ACPI data. */
function isQemu(firmwareEntries: readonly E820Entry[]): boolean {
  const rows = firmwareEntries.map(({ addr, size, type }) => ({ start: Number(addr), end: Number(addr + size), type }));
  const lowest = rows.filter(({ start, end }) => start >= MIB && end < SEABIOS_ROM);
  const tables = lowest.find(({ type }, index) => type === E820_TYPE_RESERVED && lowest[index - 1]?.type === E820_TYPE_RAM);
  return (
    tables !== undefined &&
    tables.end % MIB === 0 &&
    rows.some(({ start, end, type }) => start === SEABIOS_ROM && end === 4 * GIB && type === E820_TYPE_RESERVED)
  );
}

/** Behind all memory that there is, or that can be plugged in. */
function memoryEnd({ srat, nfit, memoryDevices = [] }: Firmware, firmwareEntries: readonly E820Entry[]): number {
  return Math.max(
    ...firmwareEntries.filter(({ type }) => type !== E820_TYPE_RESERVED).map(({ addr, size }) => Number(addr + size)),
    ...(srat ? parseSrat(srat).memory.filter(({ enabled }) => enabled).map(({ start, length }) => start + length) : []),
    ...(nfit ? parseNfit(nfit).spaRanges.map(({ address, length }) => address + length) : []),
    ...memoryDevices.map(({ start, sizeBytes }) => start + sizeBytes),
  );
}

function insertWindow(iomem: Resource, start: number, end: number): Resource {
  const window = createResource({ name: 'PCI Bus 0000:00', start, end });
  insertResourceExpandToFit(iomem, window);
  return window;
}
