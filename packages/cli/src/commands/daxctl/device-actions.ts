/**
 * What daxctl does to a device: another mode, another size, memory online and offline, its beginning and its end.
 * Mirrors ndctl's daxctl/device.c: do_reconfig, do_xline, do_xble, do_create, dev_destroy, in v76, where a device numbered 0 that the
 * kernel keeps counts as an error.
 */
import { type ErrnoName, strerror } from '@holdfast/lib';
import type { DaxctlContext, Outcome } from './context.js';
import { createDevice, deleteDevice, disable, enable, setAlign, setMapping, setSize } from './device-mode.js';
import type { DeviceRequest } from './device-options.js';
import type { InputDevice } from './input-file.js';
import { type DaxMemory, memoryOf, offline, online, onlineBlocks, willAutoOnline } from './memory.js';
import { type DaxDevice, type DaxRegion, driverOf, numberAt, seedOf } from './topology.js';

/** 'done' without a report means that nothing is printed of the device. */
export interface Reconfigured {
  readonly outcome: Outcome;
  readonly report: boolean;
}

export function reconfigure(ctx: DaxctlContext, device: DaxDevice, request: DeviceRequest): Reconfigured {
  const { size, align } = request;
  if (align > 0) {
    const outcome = setAlign(ctx, device, align);
    if (outcome !== 'done') return { outcome, report: false };
  }
  if (size >= 0) return { outcome: setSize(ctx, device, size), report: false };
  const outcome = changeMode(ctx, device, request);
  const worked = outcome === 'done' || outcome === 'nothing';
  return { outcome: worked ? 'done' : outcome, report: worked };
}

function changeMode(ctx: DaxctlContext, device: DaxDevice, request: DeviceRequest): Outcome {
  const { mode } = request;
  if (mode === 'system-ram') return toSystemRam(ctx, device, request);
  if (mode === 'devdax') return toDevdax(ctx, device, request);
  ctx.line(`${device.name}: unknown mode requested: 0`);
  ctx.explain(
    request.align > 0
      ? {
          rule: `${device.name} has its new alignment; daxctl then wants a mode, which an alignment hides, unless a size is given`,
          nearest: [ctx.again({ size: String(numberAt(ctx, `${device.path}/size`) ?? 0) })],
        }
      : { rule: `${device.name}: '${mode}' is no mode`, nearest: ['system-ram', 'devdax'].map((word) => ctx.again({ mode: word })) },
  );
  return 'EINVAL';
}

function toSystemRam(ctx: DaxctlContext, device: DaxDevice, { noOnline, noMovable, force }: DeviceRequest): Outcome {
  const wouldRace = noOnline || !noMovable;
  if (wouldRace && !force && willAutoOnline(ctx, device)) {
    ctx.line(`${device.name}: error: kernel policy will auto-online memory, aborting`);
    ctx.explain({
      rule: 'the kernel takes new memory online by itself (auto_online_blocks), perhaps into another zone than the one that daxctl would choose',
      nearest: [
        `echo offline > /sys/devices/system/memory/auto_online_blocks && ${ctx.again()}`,
        ctx.again({ 'no-movable': true, 'no-online': false }),
        ctx.again({ force: true }),
      ],
    });
    return 'EBUSY';
  }
  if (memoryOf(ctx, device)) {
    ctx.line(`${device.name} was already in system-ram mode`);
  } else {
    const disabled = disableSaying(ctx, device);
    if (disabled !== 'done') return disabled;
    const enabled = enable(ctx, device, 'kmem');
    if (enabled !== 'done') return enabled;
  }
  return noOnline ? 'done' : onlineMemory(ctx, device, { noMovable });
}

function toDevdax(ctx: DaxctlContext, device: DaxDevice, { force }: DeviceRequest): Outcome {
  if (driverOf(ctx, device) !== undefined) {
    const memory = memoryOf(ctx, device);
    if (!memory) {
      ctx.line(`${device.name} was already in devdax mode`);
      return 'nothing';
    }
    const released = releaseMemory(ctx, memory, force);
    if (released !== 'done') return released;
    const disabled = disableSaying(ctx, device);
    if (disabled !== 'done') return disabled;
  }
  return enable(ctx, device, 'device_dax');
}

/** Memory that is online stays in use, unless force takes it offline first. */
function releaseMemory(ctx: DaxctlContext, memory: DaxMemory, force: boolean): Outcome {
  const { name } = memory.device;
  if (force) {
    const outcome = offlineBlocks(ctx, memory);
    if (outcome !== 'done' && outcome !== 'nothing') return outcome;
  }
  const left = onlineBlocks(ctx, memory).length;
  if (left === 0) return 'done';
  if (ctx.verbose) {
    ctx.line(`${name}: found ${left} memory sections online`);
    ctx.line(`${name}: refusing to change modes`);
  }
  ctx.explain({ rule: `${left} memory blocks of ${name} are online`, nearest: [`daxctl reconfigure-device -f --mode=devdax ${name}`] });
  return 'EBUSY';
}

/** `daxctl online-memory` and `offline-memory`. */
export function changeMemory(ctx: DaxctlContext, device: DaxDevice, word: 'online' | 'offline', request: DeviceRequest): Outcome {
  const memory = memoryOf(ctx, device);
  if (!memory) {
    ctx.line(`${device.name}: memory operations are not applicable in devdax mode`);
    ctx.explain({ rule: `${device.name} is no RAM`, nearest: [`daxctl reconfigure-device --mode=system-ram ${device.name}`] });
    return 'ENXIO';
  }
  return word === 'online' ? onlineMemory(ctx, device, request) : offlineBlocks(ctx, memory);
}

function onlineMemory(ctx: DaxctlContext, device: DaxDevice, { noMovable }: Pick<DeviceRequest, 'noMovable'>): Outcome {
  const { name } = device;
  const memory = memoryOf(ctx, device);
  if (!memory) {
    ctx.line(`${name}: failed to get the memory object`);
    return 'ENXIO';
  }
  const total = memory.blocks.length;
  const before = onlineBlocks(ctx, memory).length;
  if (before > 0) for (const line of raceWarning(name)) ctx.line(line);
  if (before === total) {
    ctx.line(`${name}: all memory sections (${before}) already online`);
    return 'nothing';
  }
  if (before > 0) ctx.line(`${name}: ${sections(before)} already online`);
  const changed = online(ctx, memory, { movable: !noMovable });
  if (typeof changed !== 'number') return failed(ctx, name, 'online', changed);
  if (ctx.verbose) ctx.line(`${name}: ${sections(changed)} onlined`);
  const missing = total - onlineBlocks(ctx, memory).length;
  if (missing === 0) return 'done';
  ctx.line(`${name}: failed to online ${missing} memory sections`);
  return 'ENXIO';
}

function offlineBlocks(ctx: DaxctlContext, memory: DaxMemory): Outcome {
  const { name } = memory.device;
  const total = memory.blocks.length;
  const before = total - onlineBlocks(ctx, memory).length;
  if (before === total) {
    ctx.line(`${name}: all memory sections (${before}) already offline`);
    return 'nothing';
  }
  if (before > 0) ctx.line(`${name}: ${sections(before)} already offline`);
  const changed = offline(ctx, memory);
  if (typeof changed !== 'number') return failed(ctx, name, 'offline', changed);
  if (ctx.verbose) ctx.line(`${name}: ${sections(changed)} offlined`);
  const left = onlineBlocks(ctx, memory).length;
  if (left === 0) return 'done';
  ctx.line(`${name}: failed to offline ${left} memory sections`);
  return 'ENXIO';
}

function failed(ctx: DaxctlContext, name: string, word: string, code: ErrnoName): ErrnoName {
  ctx.line(`${name}: failed to ${word} memory: ${strerror(code)}`);
  return code;
}

function raceWarning(name: string): string[] {
  return [
    `${name}:`,
    '  WARNING: detected a race while onlining memory',
    '  Some memory may not be in the expected zone. It is',
    '  recommended to disable any other onlining mechanisms,',
    '  and retry. If onlining is to be left to other agents,',
    '  use the --no-online option to suppress this warning',
  ];
}

function sections(count: number): string {
  return `${count} memory section${count === 1 ? '' : 's'}`;
}

/** `daxctl enable-device` and `disable-device`. */
export function changeDriver(ctx: DaxctlContext, device: DaxDevice, word: 'enable' | 'disable'): Outcome {
  const { name } = device;
  if (memoryOf(ctx, device)) {
    ctx.line(`${name}: status operations are only applicable in devdax mode`);
    const release = `daxctl reconfigure-device -f --mode=devdax ${name}`;
    ctx.explain({ rule: `${name} is RAM`, nearest: [word === 'disable' ? `${release} && ${ctx.again()}` : release] });
    return 'ENXIO';
  }
  return word === 'disable' ? disableSaying(ctx, device) : enableSaying(ctx, device);
}

/** Make a device of a region, of `bytes` or of all that is left. Returns it, or why there is none. */
export function create(ctx: DaxctlContext, region: DaxRegion, { size, align }: DeviceRequest, input: InputDevice | undefined): DaxDevice | ErrnoName {
  if (createDevice(ctx, region)) return 'ENOSPC';
  // The seed may be an older device than the one just made: one that an earlier attempt left behind.
  const device = seedOf(ctx, region);
  if (!device) return 'ENOSPC';
  const bytes = size === -1 ? (numberAt(ctx, `${region.path}/dax_region/available_size`) ?? 0) : size;
  if (bytes <= 0) return 'ENOSPC';
  const steps = [
    ...(align > 0 ? [() => setAlign(ctx, device, align)] : []),
    ...(input?.mappings ?? []).map(({ start, end }) => () => setMapping(ctx, device, start, end)),
    () => sizeOfNew(ctx, device, bytes, input),
    () => enableSaying(ctx, device),
  ];
  for (const step of steps) {
    const outcome = step();
    if (outcome !== 'done' && outcome !== 'nothing') return outcome;
  }
  return device;
}

function sizeOfNew(ctx: DaxctlContext, device: DaxDevice, bytes: number, input: InputDevice | undefined): Outcome {
  const mapped = (input?.mappings ?? []).reduce((sum, { start, end }) => sum + end - start + 1, 0);
  if (mapped === 0 || mapped === bytes) return setSize(ctx, device, bytes);
  ctx.line(`${device.name}: allocated ${mapped} but specified size ${bytes}`);
  return 'done';
}

export function destroy(ctx: DaxctlContext, device: DaxDevice, { force }: DeviceRequest): Outcome {
  const { name } = device;
  if (driverOf(ctx, device) !== undefined && !force) {
    ctx.line(`${name} is active, specify --force for deletion`);
    ctx.explain(
      device.id === 0
        ? {
            rule: `${name} is bound to a driver, and stays as long as its region: it can but give back its memory`,
            nearest: [`daxctl disable-device ${name} && daxctl reconfigure-device -s 0 ${name}`],
          }
        : { rule: `${name} is bound to a driver`, nearest: [ctx.again({ force: true })] },
    );
    return 'ENXIO';
  }
  const disabled = disableSaying(ctx, device);
  if (disabled !== 'done') return disabled;
  const emptied = setSize(ctx, device, 0);
  if (emptied !== 'done') return emptied;
  return deleteDevice(ctx, device) ?? 'done';
}

function enableSaying(ctx: DaxctlContext, device: DaxDevice): Outcome {
  return sayFailure(ctx, device, 'enable', enable(ctx, device, 'device_dax'));
}

function disableSaying(ctx: DaxctlContext, device: DaxDevice): Outcome {
  return sayFailure(ctx, device, 'disable', disable(ctx, device));
}

function sayFailure(ctx: DaxctlContext, { name }: DaxDevice, word: string, outcome: Outcome): Outcome {
  if (outcome !== 'done' && outcome !== 'nothing') ctx.line(`${name}: ${word} failed: ${strerror(outcome)}`);
  return outcome;
}
