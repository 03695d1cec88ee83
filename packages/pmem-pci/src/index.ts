// The card, as hardware.
export { PMEM_CARD_ID, createPmemCard } from './pmem-card.js';
// Its driver.
export { type PmemPciNeeds, createPmemPciDriver } from './pmem-pci.js';
