/**
 * What an administrator can do about a refusal, as lines that write the files of the dax bus (/sys/bus/dax): for KernelError's `nearest`.
 */
import { roundDown, roundUp } from '@holdfast/lib';
import type { NearestRequest } from '@holdfast/lib';
import type { DevDax } from './dev-dax.js';

interface Nearest {
  readonly nearest: readonly NearestRequest[];
}

/** The same request once the device has no driver. */
export function afterDisable(device: DevDax): Nearest {
  return { nearest: [{ first: disableLines(device).join(' && ') }] };
}

/** Take a device off its driver, if it has one. What is RAM must first be nobody's. */
export function disableLines(device: DevDax): string[] {
  const { name, region } = device;
  const driver = region.bus.driverOf(device)?.name;
  return [
    ...(driver === 'kmem' ? [`daxctl reconfigure-device -f --mode=devdax ${name}`] : []),
    ...(driver === undefined ? [] : [`daxctl disable-device ${name}`]),
  ];
}

/** Write an attribute of a device. */
export function storeLine(device: string, attribute: string, value: string | number): string {
  return `echo ${value} > /sys/bus/dax/devices/${device}/${attribute}`;
}

/** The next multiples of a grain, up (if there is room) and down. */
export function sizesNear(sizeBytes: number, grain: number, room: number): Nearest {
  const [up, down] = [roundUp(sizeBytes, grain), roundDown(Math.min(sizeBytes, room), grain)];
  return { nearest: [...(up <= room ? [up] : []), ...(down > 0 && down !== up ? [down] : [])].map((value) => ({ value })) };
}
