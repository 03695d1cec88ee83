/**
 * The host bridge's windows in the resource tree. Mirrors drivers/acpi/pci_root.c and arch/x86/pci/acpi.c, which read them from ACPI's
 * _CRS; here they are inferred from the firmware's own map, since a firmware description has no AML.
 *
 * A bridge decodes the hole that the firmware left below 4 GiB, from its start (the top of low memory) to the IOAPIC. A machine with
 * slots also decodes the top eighth of its physical addresses, where SeaBIOS places 64-bit BARs, as far as no memory is there.
 */
import { parseNfit } from '@holdfast/acpi';
import { type KernelRelease, GIB, type Pfn, type Resource, createResource, insertResourceExpandToFit, roundUp, silentPrintk } from '@holdfast/lib';
import { type E820Entry, E820_TYPE_RESERVED, createE820Table, setupPciGap } from '@holdfast/e820';
import type { Pci } from '@holdfast/pci';
import type { Firmware } from './boot-options.js';
import type { Initcall } from './initcalls.js';
import type { Arch } from './setup-arch.js';

const IOAPIC_BASE = 0xfec00000;

export interface PciRootNeeds {
  readonly arch: Pick<Arch, 'e820' | 'maxPfn'>;
  readonly firmware: Firmware;
  readonly iomem: Resource;
  readonly physBits: number;
  readonly release: KernelRelease;
}

/** What is done at which step of a boot; without `pci` there are no slots to look into. */
export function pciInitcalls(needs: PciRootNeeds, pci: Pci | undefined): Record<'scan' | 'claim' | 'assign', Initcall['run']> {
  return {
    scan() {
      const { arch, iomem, release } = needs;
      const low = insertHostBridgeWindow(iomem, arch.e820.firmwareEntries, arch.maxPfn, release);
      const high = pci && insertHighWindow(needs);
      pci?.scan([low, high].filter((window) => window !== undefined));
    },
    claim: () => pci?.claimResources(),
    assign: () => pci?.assignResources(),
  };
}

/** Insert the window between the early and the late ranges of the map, as Linux does: what it holds back is no free gap. */
export function insertHostBridgeWindow(iomem: Resource, firmwareEntries: readonly E820Entry[], maxPfn: Pfn, release: KernelRelease): Resource | undefined {
  const table = createE820Table(firmwareEntries);
  const gap = setupPciGap(table, maxPfn, { printk: silentPrintk, release });
  const end = Math.min(gap.start + gap.size, IOAPIC_BASE) - 1;
  return gap.start < end ? insertWindow(iomem, gap.start, end) : undefined;
}

/** Behind all memory that firmware knows of; undefined if that leaves nothing. */
function insertHighWindow({ arch, firmware, iomem, physBits }: PciRootNeeds): Resource | undefined {
  const rows = arch.e820.firmwareEntries.filter(({ type }) => type !== E820_TYPE_RESERVED).map(({ addr, size }) => Number(addr + size));
  const nfit = firmware.nfit ? parseNfit(firmware.nfit).spaRanges.map(({ address, length }) => address + length) : [];
  const dimms = firmware.memoryDevices?.map(({ start, sizeBytes }) => start + sizeBytes) ?? [];
  const top = 2 ** physBits;
  const start = roundUp([...rows, ...nfit, ...dimms].reduce((a, b) => Math.max(a, b), top - top / 8), GIB);
  return start < top ? insertWindow(iomem, start, top - 1) : undefined;
}

function insertWindow(iomem: Resource, start: number, end: number): Resource {
  const window = createResource({ name: 'PCI Bus 0000:00', start, end });
  insertResourceExpandToFit(iomem, window);
  return window;
}
