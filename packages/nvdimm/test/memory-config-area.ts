/** A label area in memory, which counts its writes. */
import type { ConfigArea } from '../src/label-area.js';

export interface MemoryConfigArea extends ConfigArea {
  bytes: Uint8Array;
  nrWrites: number;
}

export function memoryConfigArea(bytes: Uint8Array): MemoryConfigArea {
  const area: MemoryConfigArea = {
    bytes,
    nrWrites: 0,
    sizeBytes: bytes.length,
    read: (offset, length) => area.bytes.slice(offset, offset + length),
    write(offset, source) {
      area.bytes.set(source, offset);
      area.nrWrites++;
    },
  };
  return area;
}
