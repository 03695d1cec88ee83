/**
 * ndctl(1), version 76: persistent memory from user space. This file finds the subcommand; each has a file of its own.
 * Mirrors ndctl's ndctl/ndctl.c. It knows the kernel by /sys and /dev alone.
 */
import type { Command, CommandIo } from '../../console/command.js';
import { dirAt, textAt } from '../../facts/sysfs.js';
import { checkNamespace } from './check-namespace.js';
import { clearErrors } from './clear-errors.js';
import { type NdctlContext, NdctlExit } from './context.js';
import { createNamespace } from './create-namespace.js';
import { createNfit } from './create-nfit.js';
import { destroyNamespace } from './destroy-namespace.js';
import { disableNamespaceCommand, enableNamespaceCommand } from './disable-namespace.js';
import { activateFirmware, injectSmart, updateFirmware } from './dimm-firmware.js';
import { freezeSecurity, removePassphrase, sanitizeDimm, setupPassphrase, updatePassphrase, waitOverwrite } from './dimm-security.js';
import { disableDimmCommand, enableDimmCommand } from './enable-dimm.js';
import { disableRegionCommand, enableRegionCommand } from './enable-region.js';
import { checkLabels, initLabels } from './init-labels.js';
import { injectError } from './inject-error.js';
import { list } from './list.js';
import { loadKeys } from './load-keys.js';
import { monitor } from './monitor.js';
import { readInfoblock } from './read-infoblock.js';
import { readLabels } from './read-labels.js';
import { startScrub, waitScrub } from './scrub.js';
import { viewManual } from './manual.js';
import { writeInfoblock } from './write-infoblock.js';
import { writeLabels, zeroLabels } from './write-labels.js';

type Subcommand = (ctx: NdctlContext, args: readonly string[]) => number;

/** Of these `--list-cmds` says nothing. */
const UNLISTED: ReadonlySet<string> = new Set(['create-nfit']);

/** In the order of `ndctl --list-cmds`. */
const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  version: (ctx) => {
    ctx.out('76.1\n');
    return 0;
  },
  'enable-namespace': enableNamespaceCommand,
  'disable-namespace': disableNamespaceCommand,
  'create-namespace': createNamespace,
  'destroy-namespace': destroyNamespace,
  'read-infoblock': readInfoblock,
  'write-infoblock': writeInfoblock,
  'check-namespace': checkNamespace,
  'clear-errors': clearErrors,
  'enable-region': enableRegionCommand,
  'disable-region': disableRegionCommand,
  'enable-dimm': enableDimmCommand,
  'disable-dimm': disableDimmCommand,
  'zero-labels': zeroLabels,
  'read-labels': readLabels,
  'write-labels': writeLabels,
  'init-labels': initLabels,
  'check-labels': checkLabels,
  'inject-error': injectError,
  'update-firmware': updateFirmware,
  'inject-smart': injectSmart,
  'wait-scrub': waitScrub,
  'activate-firmware': activateFirmware,
  'start-scrub': startScrub,
  'setup-passphrase': setupPassphrase,
  'update-passphrase': updatePassphrase,
  'remove-passphrase': removePassphrase,
  'freeze-security': freezeSecurity,
  'sanitize-dimm': sanitizeDimm,
  'load-keys': loadKeys,
  'wait-overwrite': waitOverwrite,
  list,
  monitor,
  help: (ctx, [topic]) => help(ctx, topic),
  'create-nfit': createNfit,
};

const USAGE = 'ndctl [--version] [--help] COMMAND [ARGS]';
const MORE =
  '\n usage: ' +
  USAGE +
  "\n\n\n See 'ndctl help COMMAND' for more information on a specific command.\n ndctl --list-cmds to see all available commands\n\n";

export const ndctl: Command = {
  usage: USAGE,
  helpsItself: true,
  run(io) {
    const [typed, ...args] = io.args;
    if (typed === undefined) {
      io.out(MORE);
      return 1;
    }
    if (typed === '--list-cmds') {
      io.out(Object.keys(SUBCOMMANDS).filter((name) => !UNLISTED.has(name)).map((name) => `${name}\n`).join(''));
      return 0;
    }
    const name = typed === '-v' ? 'version' : typed === '-h' ? 'help' : typed.replace(/^--/, '');
    if (args[0] === '--help') return viewManual(io.err);
    if (!Object.hasOwn(SUBCOMMANDS, name)) {
      io.err(`Unknown ${typed.startsWith('-') ? 'option' : 'command'}: ${typed.startsWith('-') ? typed : `'${typed}'`}`);
      return typed.startsWith('-') ? 129 : 1;
    }
    return runSubcommand(createContext(io), SUBCOMMANDS[name]!, args);
  },
};

function help(ctx: NdctlContext, topic: string | undefined): number {
  if (topic !== undefined) return viewManual(ctx.line);
  ctx.out(MORE);
  return 0;
}

/** The context of one run. */
type ContextIo = Pick<CommandIo, 'root' | 'system' | 'out' | 'err' | 'stdin' | 'resolve' | 'explain' | 'refused'>;

export function createContext({ root, system, out, err, stdin, resolve, explain, refused }: ContextIo): NdctlContext {
  return {
    root, out, stdin, resolve, explain, refused,
    line: err,
    sleep: (seconds) => system.kernel?.sleep(seconds * 1e9),
    now: () => system.kernel?.now() ?? 0,
    pid() {
      const process = system.kernel!.createProcess('ndctl');
      process.exit();
      return process.pid;
    },
    uuid: () => unusedUuid(root, system),
    verbose: false,
    again: () => 'ndctl',
    commandName: 'namespace',
    errors: 0,
    announced: new Set(),
    daxRegions: new Set(),
  };
}

/** One that nothing on a bus has: after another boot, the same seed gives the same UUIDs again, and their namespaces may still be there. */
function unusedUuid(root: CommandIo['root'], system: CommandIo['system']): string {
  const devices = [...(dirAt(root, '/sys/bus/nd/devices')?.list() ?? [])];
  const used = new Set(devices.map((device) => textAt(root, `/sys/bus/nd/devices/${device}/uuid`)));
  for (;;) {
    const uuid = system.randomUuid();
    if (!used.has(uuid)) return uuid;
  }
}

function runSubcommand(ctx: NdctlContext, subcommand: Subcommand, args: readonly string[]): number {
  try {
    return subcommand(ctx, args);
  } catch (error) {
    if (error instanceof NdctlExit) return error.status;
    throw error;
  }
}
