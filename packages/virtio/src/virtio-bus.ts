/**
 * The virtio bus: devices that a hypervisor gives its guest. Mirrors drivers/virtio/virtio.c: register_virtio_device, virtio_dev_probe.
 *
 * Invariant: devices are numbered in the order in which they are registered.
 * Differs from Linux: no transport and no rings below it: a request is a call of the device, and its answer is there when it returns.
 */
import { type KernelRelease, type Printk, createIda, readOnly } from '@holdfast/lib';
import { type Bus, type Device, createBus, createRootDevice } from '@holdfast/driver-core';
import type { VirtioMem, VirtioPmem } from '@holdfast/machine';

/** What a device is made of. */
export type VirtioHardware = VirtioPmem | VirtioMem;

/** `virtioN`. */
export interface VirtioDevice extends Device {
  readonly hardware: VirtioHardware;
}

export interface VirtioBus extends Bus<VirtioDevice> {
  /** Make `virtioN`, N from 0, and offer it to the drivers. */
  registerDevice(hardware: VirtioHardware): VirtioDevice;
}

/** Numbers of the virtio specification. */
const DEVICE_IDS = { mem: 24, pmem: 27 } as const;
const VENDOR_ID = 0x1af4;
/** ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK. */
const STATUS_OK = 0x0f;
const STATUS_NEW = 0x01;

export function createVirtioBus(printk: Printk, release?: KernelRelease): VirtioBus {
  const bus = createBus<VirtioDevice>('virtio', printk, release);
  const root = createRootDevice('virtio');
  const ids = createIda();

  return {
    ...bus,
    registerDevice(hardware) {
      const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;
      const digits = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
      const id = DEVICE_IDS[hardware.kind];
      const attributes = [
        readOnly('device', () => hex(id, 4)),
        readOnly('vendor', () => hex(VENDOR_ID, 4)),
        readOnly('status', () => hex(bus.driverOf(device) ? STATUS_OK : STATUS_NEW, 8)),
        readOnly('modalias', () => `virtio:d${digits(id)}v${digits(VENDOR_ID)}`),
      ];
      const device: VirtioDevice = { name: `virtio${ids.alloc()}`, parent: root, hardware, attributes: () => attributes };
      bus.addDevice(device);
      return device;
    },
  };
}
