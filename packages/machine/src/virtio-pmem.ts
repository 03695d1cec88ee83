/**
 * The device virtio-pmem: a file of the host as memory of the guest, and a queue for flush requests.
 * Mirrors the device side of the virtio specification, 5.19; QEMU's hw/virtio/virtio-pmem.c.
 */
import type { Machine, Medium } from './hardware.js';

export interface VirtioPmem {
  readonly kind: 'pmem';
  readonly start: number;
  readonly sizeBytes: number;
  /** A flush request: the host syncs its file. Returns whether it could. */
  flush(): boolean;
}

/** @param medium a hosted file, attached to the machine at `start` */
export function createVirtioPmem(machine: Machine, start: number, medium: Medium): VirtioPmem {
  return {
    kind: 'pmem',
    start,
    sizeBytes: medium.sizeBytes,
    flush() {
      machine.syncMedium(medium);
      return true;
    },
  };
}
