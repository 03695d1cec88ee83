// The contract: what the kernel may ask of the hardware.
export {
  type Clock, type Cpu, type Machine, type Mapping, type MemoryType, type PersistenceDomain, type PhysicalMemory, type PowercutReport,
  CACHE_LINE_SIZE, CHUNK_SIZE,
} from './hardware.js';
