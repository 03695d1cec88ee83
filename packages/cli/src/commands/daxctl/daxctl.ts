/**
 * daxctl(1) of ndctl 76.1: device-dax devices and regions, listed and changed through sysfs.
 * Mirrors ndctl's daxctl/daxctl.c.
 */
import { strerror } from '@holdfast/lib';
import type { Command } from '../../console/command.js';
import { NdctlExit } from '../ndctl/context.js';
import { viewManual } from '../ndctl/manual.js';
import { exitWithUsage, parseOptions } from '../ndctl/parse-options.js';
import type { DaxctlContext } from './context.js';
import { deviceCommand } from './device-commands.js';
import type { DeviceAction } from './device-options.js';
import { list } from './list.js';
import { splitAcpi } from './split-acpi.js';

const VERSION = '76.1';
const USAGE = 'daxctl [--version] [--help] COMMAND [ARGS]';
const MORE = "See 'daxctl help COMMAND' for more information on a specific command.\n daxctl --list-cmds to see all available commands";

type Run = (ctx: DaxctlContext, args: readonly string[]) => number;

const onDevices = (action: DeviceAction): Run => (ctx, args) => deviceCommand(ctx, action, args);

const COMMANDS: Readonly<Record<string, Run>> = {
  version: (ctx) => {
    ctx.out(`${VERSION}\n`);
    return 0;
  },
  list,
  help: (ctx, [topic]) => {
    if (topic !== undefined) return viewManual(ctx.line);
    printUsage(ctx);
    return 0;
  },
  'split-acpi': splitAcpi,
  'migrate-device-model': migrate,
  'create-device': onDevices('create'),
  'destroy-device': onDevices('destroy'),
  'reconfigure-device': onDevices('reconfigure'),
  'online-memory': onDevices('online'),
  'offline-memory': onDevices('offline'),
  'disable-device': onDevices('disable'),
  'enable-device': onDevices('enable'),
};

export const daxctl: Command = {
  usage: USAGE,
  helpsItself: true,
  run({ args, root, resolve, out, err, explain }) {
    const ctx: DaxctlContext = { root, resolve, out, line: err, explain, again: () => 'daxctl', verbose: false };
    try {
      return dispatch(ctx, args);
    } catch (error) {
      if (error instanceof NdctlExit) return error.status;
      throw error;
    }
  },
};

function dispatch(ctx: DaxctlContext, [first, ...rest]: readonly string[]): number {
  if (first === undefined) {
    printUsage(ctx);
    return 1;
  }
  if (first === '--list-cmds') {
    ctx.out(Object.keys(COMMANDS).map((name) => `${name}\n`).join(''));
    return 0;
  }
  const name = first === '-v' || first === '--version' ? 'version' : first === '-h' || first === '--help' ? 'help' : first;
  if (rest[0] === '--help') return viewManual(ctx.line);
  if (name.startsWith('-')) {
    ctx.line(`Unknown option: ${name}`);
    ctx.line(`\n Usage: ${USAGE}`);
    return 129;
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    ctx.line(`Unknown command: '${name}'`);
    return 1;
  }
  return COMMANDS[name]!(ctx, rest);
}

function printUsage({ out }: DaxctlContext): void {
  out(`\n usage: ${USAGE}\n\n\n ${MORE}\n\n`);
}

/** Only a kernel that still has /sys/class/dax would need it, and this console has no /etc to configure modules in. */
function migrate(ctx: DaxctlContext, args: readonly string[]): number {
  const usage = 'daxctl migrate-device-model';
  const { operands } = parseOptions(args, [], usage, ctx, ctx.out);
  for (const operand of operands) ctx.line(`  Error: unknown parameter "${operand}"\n`);
  if (operands.length > 0) exitWithUsage(ctx, usage, []);
  ctx.line(`  Error: failed to install /etc/modprobe.d/daxctl.conf: ${strerror('ENOENT')}\n`);
  return 1;
}
