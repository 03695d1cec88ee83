/**
 * ndctl(1), version 76: persistent memory from user space. This file finds the subcommand; each has a file of its own.
 * Mirrors ndctl's ndctl/ndctl.c. It knows the kernel by /sys and /dev alone.
 */
import type { Command, CommandIo } from '../../console/command.js';
import { checkNamespace } from './check-namespace.js';
import { clearErrors } from './clear-errors.js';
import { type NdctlContext, NdctlExit } from './context.js';
import { createNamespace } from './create-namespace.js';
import { destroyNamespace } from './destroy-namespace.js';
import { disableNamespaceCommand, enableNamespaceCommand } from './disable-namespace.js';
import { activateFirmware, injectSmart, updateFirmware } from './dimm-firmware.js';
import { freezeSecurity, removePassphrase, sanitizeDimm, setupPassphrase, updatePassphrase, waitOverwrite } from './dimm-security.js';
import { disableDimmCommand, enableDimmCommand } from './enable-dimm.js';
import { disableRegionCommand, enableRegionCommand } from './enable-region.js';
import { checkLabels, initLabels } from './init-labels.js';
import { injectError } from './inject-error.js';
import { list } from './list.js';
import { readInfoblock } from './read-infoblock.js';
import { readLabels } from './read-labels.js';
import { startScrub, waitScrub } from './scrub.js';
import { writeInfoblock } from './write-infoblock.js';
import { writeLabels, zeroLabels } from './write-labels.js';

type Subcommand = (ctx: NdctlContext, args: readonly string[]) => number;

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
  'wait-overwrite': waitOverwrite,
  list,
};

const USAGE = 'ndctl [--version] [--help] COMMAND [ARGS]';
const MORE = "\n usage: " + USAGE + "\n\n\n See 'ndctl help COMMAND' for more information on a specific command.\n ndctl --list-cmds to see all available commands\n\n";

export const ndctl: Command = {
  usage: USAGE,
  help: `Commands: ${Object.keys(SUBCOMMANDS).join(' ')}\n'ndctl COMMAND -h' lists the options of one.`,
  run(io) {
    const [typed, ...args] = io.args;
    if (typed === undefined || typed === 'help' || typed === '-h') {
      io.out(MORE);
      return typed === undefined ? 1 : 0;
    }
    if (typed === '--list-cmds') {
      io.out(`${Object.keys(SUBCOMMANDS).join('\n')}\n`);
      return 0;
    }
    const name = typed === '-v' ? 'version' : typed.replace(/^--/, '');
    if (!Object.hasOwn(SUBCOMMANDS, name)) {
      io.err(`Unknown ${typed.startsWith('-') ? 'option' : 'command'}: ${typed.startsWith('-') ? typed : `'${typed}'`}`);
      return typed.startsWith('-') ? 129 : 1;
    }
    return runSubcommand(createContext(io), SUBCOMMANDS[name]!, args);
  },
};

/** The context of one run. */
export function createContext({ root, system, out, err, stdin, resolve, explain, refused }: Pick<CommandIo, 'root' | 'system' | 'out' | 'err' | 'stdin' | 'resolve' | 'explain' | 'refused'>): NdctlContext {
  return {
    root, out, stdin, resolve, explain, refused,
    line: err,
    sleep: (seconds) => system.kernel?.sleep(seconds * 1e9),
    uuid: () => system.randomUuid(),
    verbose: false,
    again: () => 'ndctl',
    commandName: 'namespace',
    errors: 0,
    announced: new Set(),
    daxRegions: new Set(),
  };
}

function runSubcommand(ctx: NdctlContext, subcommand: Subcommand, args: readonly string[]): number {
  try {
    return subcommand(ctx, args);
  } catch (error) {
    if (error instanceof NdctlExit) return error.status;
    throw error;
  }
}
