// Hardware: cards, and the slots of a host bridge.
export {
  type DecodeListener, type PciBarSpec, type PciFunction, type PciFunctionBar, type PciFunctionSpec, type PciRegisters, createPciFunction,
} from './pci-card.js';
export { type ConfigAccess, type Devfn, type PciBridge, type PciHost, createPciHost, devfnOf } from './pci-host.js';
export { ALL_ONES, PCI, PCI_CLASS, PCI_COMMAND } from './pci-regs.js';
// The kernel's bus, and what is on it.
export { type Pci, type PciNeeds, createPci } from './pci-bus.js';
export { type DeviceConfig, type PciBar, type PciDevice, configBytes, pciDeviceIsPresent, pciName, pciResourceLen, pciResourceStart } from './pci-device.js';
export { formatBar } from './bar.js';
// What a driver uses.
export { type PciDeviceId, type PciDriver, pciMatchId } from './pci-driver.js';
export { type PciIomem, pciDisableDevice, pciEnableDevice, pciIomap, pciRequestRegion, pciSetMaster } from './enable.js';
