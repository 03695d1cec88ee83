/**
 * Firmware of DIMMs and errors of their health: `ndctl update-firmware`, `activate-firmware`, `inject-smart`.
 * Mirrors ndctl's ndctl/dimm.c: action_update; bus.c: action_activate; inject-smart.c. No DIMM here has the methods, and these commands say so of each.
 */
import { KernelError, strerror } from '@holdfast/lib';
import { openFile } from '../../console/open-file.js';
import { type Failure, type NdctlContext, error, exitStatus } from './context.js';
import { DIMM_OPTIONS, dimmsFor, forEachDimm, parseDimmOptions, reportDimms } from './dimm-walk.js';
import { busPasses, dimmPasses } from './filter.js';
import { type OptionSpec, exitWithUsage, parseOptions } from './parse-options.js';
import { readAttr } from './sysfs-access.js';
import { buses, dimms } from './topology.js';

const UPDATE_USAGE = 'ndctl update-firmware <nmem0> [<nmem1>..<nmemN>] [<options>]';
const UPDATE_OPTIONS: readonly OptionSpec[] = [
  ...DIMM_OPTIONS,
  { short: 'f', long: 'firmware', value: 'firmware-file', help: 'firmware filename for update' },
  { short: 'i', long: 'force', help: 'ignore ARS / arm status, try to force update' },
  { short: 'A', long: 'arm', help: 'arm device for firmware activation (default)' },
  { short: 'D', long: 'disarm', help: 'disarm device for firmware activation' },
];

export function updateFirmware(ctx: NdctlContext, args: readonly string[]): number {
  const options = parseDimmOptions(ctx, args, { usage: UPDATE_USAGE, options: UPDATE_OPTIONS });
  const { has, value, flag } = options;
  const refuse = (text: string): never => {
    ctx.line(text);
    return exitWithUsage(ctx, UPDATE_USAGE, UPDATE_OPTIONS);
  };
  const file = value('firmware');
  if (flag('arm') !== undefined && flag('disarm') !== undefined) refuse('set either --arm, or --disarm, not both');
  if (flag('disarm') === false) refuse('--no-disarm syntax not supported');
  if (file === undefined && !has('arm') && !has('disarm')) refuse(flag('arm') === false ? '--no-arm syntax not supported' : 'require --arm, or --disarm');
  const report = (result: { count: number; failure: Failure }): number => reportDimms(ctx, (nmems) => `updated ${nmems}.`, result);
  const refused = file === undefined ? undefined : openFailure(ctx, file);
  if (refused) {
    ctx.line(`failed to open: ${file}: (${strerror(refused)})`);
    return report({ count: 0, failure: refused });
  }
  return report(forEachDimm(dimmsFor(ctx, options), (dimm) => {
    // Arming asks the kernel, which has no file for it; an update asks the firmware.
    if (file !== undefined) error(ctx, `update firmware: ${dimm.name}: firmware update not supported by either platform firmware or the kernel.`);
    ctx.explain({ rule: `the firmware of ${dimm.name} has no methods to be updated by` });
    return file === undefined ? 'EOPNOTSUPP' : 'EIO';
  }));
}

function openFailure(ctx: NdctlContext, path: string): Failure {
  try {
    openFile(ctx.root, ctx.resolve(path)).close();
    return undefined;
  } catch (refused) {
    if (refused instanceof KernelError) return refused.code;
    throw refused;
  }
}

const ACTIVATE_OPTIONS: readonly OptionSpec[] = [
  { short: 'v', long: 'verbose', help: 'turn on debug' },
  { short: 'I', long: 'idle', help: 'allow platform-injected idle over activate (default)' },
  { short: 'f', long: 'force', help: 'try to force live activation' },
  { short: 'n', long: 'dry-run', help: 'perform all setup/validation steps, skip the activate' },
];

export function activateFirmware(ctx: NdctlContext, args: readonly string[]): number {
  const { operands } = parseOptions(args, ACTIVATE_OPTIONS, 'ndctl activate-firmware[<bus-id> <bus-id2> ... <bus-idN>] [<options>]', ctx, ctx.out);
  const wanted = operands.length === 0 || operands.includes('all') ? ['all'] : operands;
  let failure: Failure;
  for (const name of wanted) {
    for (const bus of buses(ctx).filter((each) => busPasses(ctx, each, name))) {
      ctx.line(`${readAttr(ctx, bus.path, 'provider')}: ${bus.name}: has no devices that support firmware update.`);
      failure = 'EOPNOTSUPP';
    }
  }
  failure ??= 'ENXIO';
  ctx.line(`error activating firmware: ${strerror(failure)}`);
  return exitStatus(failure);
}

const attribute = (short: string, threshold: string, name: string, text: string): OptionSpec[] => [
  { short, long: name, value: `smart ${text} attribute`, help: `inject a value for smart ${text}` },
  {
    short: threshold,
    long: `${name}-threshold`,
    value: `set smart ${text} threshold`,
    help: `set ${name === 'spares' ? 'a ' : ''}threshold value for smart ${text}`,
  },
  { short: '', long: `${name}-alarm`, value: `smart ${text} alarm`, help: `enable or disable the smart ${text} alarm` },
];
const SMART_OPTIONS: readonly OptionSpec[] = [
  { short: 'b', long: 'bus', value: 'bus-id', help: 'limit dimm to a bus with an id or provider of <bus-id>' },
  { short: 'v', long: 'verbose', help: 'emit extra debug messages to stderr' },
  { short: 'u', long: 'human', help: 'use human friendly number formats' },
  ...attribute('m', 'M', 'media-temperature', 'media temperature'),
  { short: '', long: 'media-temperature-uninject', help: 'uninject media temperature' },
  ...attribute('c', 'C', 'ctrl-temperature', 'controller temperature'),
  { short: '', long: 'ctrl-temperature-uninject', help: 'uninject controller temperature' },
  ...attribute('s', 'S', 'spares', 'spares'),
  { short: '', long: 'spares-uninject', help: 'uninject spare percentage' },
  { short: 'f', long: 'fatal', help: 'inject fatal smart health status' },
  { short: 'F', long: 'fatal-uninject', help: 'uninject fatal health condition' },
  { short: 'U', long: 'unsafe-shutdown', help: 'inject smart unsafe shutdown status' },
  { short: '', long: 'unsafe-shutdown-uninject', help: 'uninject unsafe shutdown status' },
  { short: 'N', long: 'uninject-all', help: 'uninject all possible fields' },
];
const SMART_USAGE = 'ndctl inject-smart <dimm> [<options>]';
const NOT_AN_OPERATION = ['bus', 'verbose', 'human'];

export function injectSmart(ctx: NdctlContext, args: readonly string[]): number {
  const { has, value, operands: [name, ...rest] } = parseOptions(args, SMART_OPTIONS, SMART_USAGE, ctx, ctx.out);
  if (!SMART_OPTIONS.some(({ long }) => !NOT_AN_OPERATION.includes(long) && has(long))) {
    error(ctx, 'No valid operation specified\n');
    return exitStatus('EINVAL');
  }
  if (name === undefined) error(ctx, 'specify a dimm for the smart operation\n');
  for (const operand of rest) error(ctx, `unknown extra parameter "${operand}"\n`);
  if (name === undefined || rest.length > 0) return exitWithUsage(ctx, SMART_USAGE, SMART_OPTIONS);
  const found = buses(ctx).filter((bus) => busPasses(ctx, bus, value('bus'))).flatMap((bus) => dimms(ctx, bus)).find((dimm) => dimmPasses(dimm, name));
  if (!found) {
    error(ctx, `${name}: no such dimm\n`);
    return exitStatus('ENXIO');
  }
  error(ctx, `${found.name}: smart injection not supported by either platform firmware or the kernel.\n`);
  return exitStatus('EIO');
}
