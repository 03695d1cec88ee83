/**
 * daxctl's commands on devices: which devices they act on, the summary they end with, and the exit status.
 * Mirrors ndctl's daxctl/device.c: do_xaction_device, do_xaction_region, cmd_create_device and its siblings.
 */
import { type ErrnoName, errnoNumber, strerror } from '@holdfast/lib';
import { type Json, jsonList } from '../ndctl/json-text.js';
import { exitWithUsage } from '../ndctl/parse-options.js';
import type { DaxctlContext, Outcome } from './context.js';
import { changeDriver, changeMemory, create, destroy, reconfigure } from './device-actions.js';
import { deviceJson } from './device-json.js';
import { DEVICE_FORMS, type DeviceAction, type DeviceRequest, parseDeviceOptions } from './device-options.js';
import { readInputDevice } from './input-file.js';
import { type DaxDevice, devicePasses, devices, regionPasses, regions } from './topology.js';

/** What a command says: `error DOING: …`, and `DONE 1 device`. */
const WORDS: Readonly<Record<DeviceAction, { doing: string; done: string }>> = {
  create: { doing: 'creating devices', done: 'created' },
  destroy: { doing: 'destroying devices', done: 'destroyed' },
  reconfigure: { doing: 'reconfiguring devices', done: 'reconfigured' },
  disable: { doing: 'disabling device', done: 'disabled' },
  enable: { doing: 'enabling device', done: 'enabled' },
  online: { doing: 'onlining memory', done: 'onlined memory for' },
  offline: { doing: 'offlining memory', done: 'offlined memory for' },
};

/** Run one of them. @returns the exit status @throws NdctlExit after a wrong call */
export function deviceCommand(ctx: DaxctlContext, action: DeviceAction, args: readonly string[]): number {
  const request = parseDeviceOptions(ctx, action, args);
  if (action === 'reconfigure' && request.checkConfig) return withoutConfiguration(ctx, request);
  return action === 'create' ? createCommand(ctx, request) : onEachDevice(ctx, action, request);
}

function onEachDevice(ctx: DaxctlContext, action: Exclude<DeviceAction, 'create'>, request: DeviceRequest): number {
  const report: Json[] = [];
  let last: Outcome = 'ENXIO';
  let processed = 0;
  for (const region of regions(ctx)) {
    if (!regionPasses(region, request.region)) continue;
    for (const device of devices(ctx, region)) {
      if (!devicePasses(device, request.device)) continue;
      last = act(ctx, action, device, request, report);
      if (last === 'done') processed++;
    }
  }
  if (report.length > 0) ctx.out(jsonList(report.slice(-1), request));
  return finish(ctx, action, last, processed);
}

/** Each device that is reported takes the place of the one before: the tool prints the last. */
function act(ctx: DaxctlContext, action: Exclude<DeviceAction, 'create'>, device: DaxDevice, request: DeviceRequest, report: Json[]): Outcome {
  switch (action) {
    case 'reconfigure': {
      const result = reconfigure(ctx, device, request);
      if (result.report) report.push(deviceJson(ctx, device, request));
      return result.outcome;
    }
    case 'online':
    case 'offline':
      return changeMemory(ctx, device, action, request);
    case 'enable':
    case 'disable':
      return changeDriver(ctx, device, action);
    case 'destroy':
      return destroy(ctx, device, request);
  }
}

function createCommand(ctx: DaxctlContext, asked: DeviceRequest): number {
  const input = asked.input === undefined ? undefined : readInputDevice(ctx, asked.input);
  if (asked.input !== undefined && !input) {
    ctx.line(`error: failed to parse device file: ${strerror('EINVAL')}`);
    exitWithUsage(ctx, DEVICE_FORMS.create.usage, DEVICE_FORMS.create.options);
  }
  const request = input ? { ...asked, ...input } : asked;
  let report: Json | undefined;
  let last: Outcome = 'ENXIO';
  let processed = 0;
  for (const region of regions(ctx)) {
    if (!regionPasses(region, request.region)) continue;
    const made = create(ctx, region, request, input);
    last = typeof made === 'string' ? made : 'done';
    if (typeof made === 'string') continue;
    processed++;
    report = deviceJson(ctx, made, request);
  }
  if (report !== undefined) ctx.out(jsonList([report], request));
  return finish(ctx, 'create', last, processed);
}

/** The summary, and the status of a process whose main returns 0, 1 or -errno. */
function finish(ctx: DaxctlContext, action: DeviceAction, last: Outcome, processed: number): number {
  const { doing, done } = WORDS[action];
  const failed = last !== 'done' && last !== 'nothing' ? last : undefined;
  if (failed) ctx.line(`error ${doing}: ${strerror(failed)}`);
  ctx.line(`${done} ${processed} device${processed === 1 ? '' : 's'}`);
  return last === 'done' ? 0 : failed ? statusOf(failed) : 1;
}

function statusOf(code: ErrnoName): number {
  return 256 - errnoNumber(code);
}

/** There are no configuration files here, which is the common case on real machines, and no error. */
function withoutConfiguration(ctx: DaxctlContext, { device }: DeviceRequest): number {
  const isPmem = regions(ctx).some((region) => region.path.includes('/ndbus') && devices(ctx, region).some(({ name }) => name === device));
  if (device !== 'all' && !isPmem) ctx.line(`no UUID match for ${device} found in config files`);
  ctx.line(`${device}: missing or malformed config section`);
  return 0;
}
