// Device-dax memory as system RAM.
export { type KmemDeps, type KmemMemory, kmemDriver } from './kmem.js';
// How much of a range becomes RAM.
export { KMEM_RESOURCE_NAME, kmemRange } from './kmem-range.js';
