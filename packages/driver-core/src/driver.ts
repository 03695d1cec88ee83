/**
 * A driver, as its bus sees it. Mirrors include/linux/device/driver.h: struct device_driver.
 *
 * A driver registers with a bus; the bus never imports a driver.
 */
import type { Attribute } from '@holdfast/lib';
import type { Device } from './device.js';

export interface Driver<D extends Device> {
  /** As /sys/bus/B/drivers lists it, and as the log names it when a probe fails. */
  readonly name: string;
  /** Is this a device the driver wants to be offered? Must have no effect. */
  match(device: D): boolean;
  /**
   * Bring the device up. The returned function undoes all of it, and runs once, at unbind.
   * @throws KernelError after undoing what was done; ENODEV and ENXIO say "not mine" and are not logged.
   */
  probe(device: D): () => void;
  /** The console line that makes it take a device which it does not match yet, where user space can. */
  matchLine?(deviceName: string): string;
  /** Its directory has no `bind` and `unbind`: user space cannot move its devices (suppress_bind_attrs). */
  readonly suppressBindAttrs?: boolean;
  /** What its directory shows beside `bind`, `unbind` and its devices. */
  attributes?(): readonly Attribute[];
}
