// The engine, as hardware.
export { DMA_CARD_ID, createDmaCard } from './dma-card.js';
// Its driver, and what others ask of it.
export { type DmaChannel, type DmaDone, type DmaEngineNeeds, createDmaEngineDriver } from './dma-engine.js';
export { type DmaMapping, dmaMapSg } from './dma-mapping.js';
