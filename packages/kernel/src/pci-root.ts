/**
 * The host bridge's windows in the resource tree. Mirrors drivers/acpi/pci_root.c and arch/x86/pci/acpi.c, which read them from ACPI's
 * _CRS; here they are inferred from the firmware's own map, since a firmware description has no AML.
 *
 * A bridge decodes the hole that the firmware left below 4 GiB, from its start (the top of low memory) to the IOAPIC.
 */
import { type KernelRelease, type Pfn, type Resource, createResource, insertResourceExpandToFit, silentPrintk } from '@holdfast/lib';
import { type E820Entry, createE820Table, setupPciGap } from '@holdfast/e820';

const IOAPIC_BASE = 0xfec00000;

/** Insert the window between the early and the late ranges of the map, as Linux does: what it holds back is no free gap. */
export function insertHostBridgeWindow(iomem: Resource, firmwareEntries: readonly E820Entry[], maxPfn: Pfn, release: KernelRelease): void {
  const table = createE820Table(firmwareEntries);
  const gap = setupPciGap(table, maxPfn, { printk: silentPrintk, release });
  const end = Math.min(gap.start + gap.size, IOAPIC_BASE) - 1;
  if (gap.start < end) insertResourceExpandToFit(iomem, createResource({ name: 'PCI Bus 0000:00', start: gap.start, end }));
}
