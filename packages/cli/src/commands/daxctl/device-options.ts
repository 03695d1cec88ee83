/**
 * What daxctl's commands on devices are asked for, and their usage. Mirrors ndctl's daxctl/device.c: parse_device_options.
 */
import { type OptionSpec, type ParsedOptions, exitWithUsage, parseOptions } from '../ndctl/parse-options.js';
import { parseSize64 } from '../ndctl/size.js';
import type { DaxctlContext } from './context.js';

export type DeviceAction = 'reconfigure' | 'online' | 'offline' | 'create' | 'disable' | 'enable' | 'destroy';

export interface DeviceRequest {
  /** As typed, without folders; undefined only for `create`. */
  readonly device: string | undefined;
  readonly region: string | undefined;
  readonly human: boolean;
  readonly force: boolean;
  readonly noOnline: boolean;
  readonly noMovable: boolean;
  /** As typed; a size or an alignment hides it. */
  readonly mode: string | undefined;
  /** Bytes; -1 if none was given, or no number. */
  readonly size: number;
  readonly align: number;
  /** A file that says what to create. */
  readonly input: string | undefined;
  /** Take the mode from the configuration files. */
  readonly checkConfig: boolean;
}

const BASE: readonly OptionSpec[] = [
  { short: 'r', long: 'region', value: 'region-id', help: 'filter by region' },
  { short: 'u', long: 'human', help: 'use human friendly number formats' },
  { short: 'v', long: 'verbose', help: 'emit more debug messages' },
];
const CREATE: readonly OptionSpec[] = [
  { short: 's', long: 'size', value: 'size', help: 'size to switch the device to' },
  { short: 'a', long: 'align', value: 'align', help: 'alignment to switch the device to' },
  { short: '', long: 'input', value: 'input', help: 'input device JSON file' },
];
const RECONFIGURE: readonly OptionSpec[] = [
  { short: 'm', long: 'mode', value: 'mode', help: 'mode to switch the device to' },
  { short: 'N', long: 'no-online', help: "don't auto-online memory sections" },
  { short: 'f', long: 'force', help: 'attempt to offline memory sections before reconfiguration' },
  { short: 'C', long: 'check-config', help: 'use config files to determine parameters for the operation' },
];
const DESTROY: readonly OptionSpec[] = [{ short: 'f', long: 'force', help: 'attempt to disable before destroying device' }];
const ZONE: readonly OptionSpec[] = [{ short: '', long: 'no-movable', help: 'online memory in ZONE_NORMAL' }];

interface Form {
  readonly usage: string;
  readonly options: readonly OptionSpec[];
  /** What a missing device is missed for. */
  readonly verb: string;
}

/** How each command is called. */
export const DEVICE_FORMS: Readonly<Record<DeviceAction, Form>> = {
  create: { usage: 'daxctl create-device [<options>]', options: [...BASE, ...CREATE, ...RECONFIGURE, ...ZONE], verb: '' },
  destroy: { usage: 'daxctl destroy-device <device> [<options>]', options: [...BASE, ...DESTROY], verb: 'destroy' },
  reconfigure: { usage: 'daxctl reconfigure-device <device> [<options>]', options: [...BASE, ...CREATE, ...RECONFIGURE, ...ZONE], verb: 'reconfigure' },
  disable: { usage: 'daxctl disable-device <device>', options: BASE, verb: 'disable' },
  enable: { usage: 'daxctl enable-device <device>', options: BASE, verb: 'disable' },
  online: { usage: 'daxctl online-memory <device> [<options>]', options: [...BASE, ...ZONE], verb: 'online memory for' },
  offline: { usage: 'daxctl offline-memory <device> [<options>]', options: BASE, verb: 'offline memory for' },
};

/** @throws NdctlExit with 129 after a wrong call */
export function parseDeviceOptions(ctx: DaxctlContext, action: DeviceAction, args: readonly string[]): DeviceRequest {
  const { usage, options, verb } = DEVICE_FORMS[action];
  const parsed = parseOptions(args, options, usage, ctx, ctx.out);
  const { has, value, operands } = parsed;
  if (operands.length === 0 && action !== 'create') ctx.line(`specify a device to ${verb}, or "all"`);
  for (const extra of operands.slice(1)) ctx.line(`unknown extra parameter "${extra}"`);
  if (operands.length > 1 || (operands.length === 0 && action !== 'create')) exitWithUsage(ctx, usage, options);
  ctx.verbose = has('verbose');
  const wrong = action === 'reconfigure' ? wrongReconfiguration(parsed) : undefined;
  if (wrong !== undefined) {
    ctx.line(wrong);
    exitWithUsage(ctx, usage, options);
  }
  return {
    device: operands[0]?.split('/').at(-1),
    region: value('region'),
    human: has('human'),
    force: has('force'),
    noOnline: has('no-online'),
    noMovable: has('no-movable'),
    mode: has('size') || has('align') ? undefined : value('mode'),
    size: sizeOf(value('size')),
    align: sizeOf(value('align')),
    input: value('input'),
    checkConfig: has('check-config'),
  };
}

function wrongReconfiguration({ has, value, operands }: ParsedOptions): string | undefined {
  if (has('check-config')) {
    const also = has('mode') || has('no-online') || has('no-movable');
    return also ? `${operands[0]}: -C cannot be used with --mode, --(no-)movable, or --(no-)online` : undefined;
  }
  if (!has('mode') && !has('size') && !has('align')) return "error: a 'align', 'mode' or 'size' option is required";
  const isDevdax = value('mode') === 'devdax' && !has('size') && !has('align');
  return isDevdax && has('no-online') ? '--no-online is incompatible with --mode=devdax' : undefined;
}

/** What is no size reads as if none had been given. */
function sizeOf(text: string | undefined): number {
  return text === undefined ? -1 : (parseSize64(text)?.bytes ?? -1);
}
