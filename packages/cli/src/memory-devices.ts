/**
 * `memory-devices.json` of a firmware description: DIMMs that are in the machine when it is switched on, which no memory map tells of and
 * the kernel finds as ACPI's memory devices (`-device pc-dimm` of QEMU).
 */
import { KernelError } from '@holdfast/lib';
import type { DimmPlan } from './host/slot-layout.js';

const EXPECTED = 'expected { "id", "memdev", "size" and, if it matters, "node" and "addr" }, in a list';

/** @param path names the file in messages. @throws KernelError EINVAL */
export function parseMemoryDevices(value: unknown, path: string): DimmPlan[] {
  if (!Array.isArray(value)) throw new KernelError('EINVAL', `${path}: ${EXPECTED}`);
  const plans = value.map((entry: unknown, index) => parseDevice(entry, `${path}: entry ${index}`));
  for (const name of ['id', 'memdev'] as const) {
    const twice = plans.find((plan, index) => plans.findIndex((other) => other[name] === plan[name]) !== index);
    if (twice) throw new KernelError('EINVAL', `${path}: ${name} ${JSON.stringify(twice[name])} is given twice`);
  }
  return plans;
}

function parseDevice(value: unknown, where: string): DimmPlan {
  const entry = (value ?? {}) as Record<string, unknown>;
  const refuse = (field: string): KernelError => new KernelError('EINVAL', `${where}: ${field} is ${JSON.stringify(entry[field])}; ${EXPECTED}`);
  const text = (field: string): string => {
    const found = entry[field];
    if (typeof found !== 'string' || !/^[\w.-]+$/.test(found)) throw refuse(field);
    return found;
  };
  const number = (field: string, least: number): number => {
    const found = entry[field];
    if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < least) throw refuse(field);
    return found;
  };
  return {
    id: text('id'),
    memdev: text('memdev'),
    sizeBytes: number('size', 1),
    ...(entry['node'] === undefined ? {} : { pxm: number('node', 0) }),
    ...(entry['addr'] === undefined ? {} : { start: number('addr', 0) }),
  };
}
