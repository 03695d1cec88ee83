/**
 * `holdfast nbd`, `holdfast nbd ctl` and `holdfast nbd replay` on the command line.
 */
import { type Command, Option } from 'commander';
import type { Terminal } from './boot-command.js';
import { collect } from './collect-option.js';
import type { NbdCommandOptions } from './nbd-command.js';
import type { NbdCtlOptions } from './nbd-ctl-command.js';
import type { NbdReplayOptions } from './nbd-replay-command.js';

const CTL_HELP = `
Actions:
  status                              power, exports, cuts
  powercut [--keep none|all|random|prefix] [--seed N] [--on-cut fail|drop] [--after REQUESTS]
  restore                             give the power back: the machine boots on what the cut has left
  states --count                      how many different images the last cut may have left
  states --list | --sample N          their names, each an export: [--export NAME] [--cut N] [--from N] [--limit N] [--seed N] [--uris]
  faults KIND [--where WHERE] [--ms N] [--error ERRNO] [--seed N] [--export NAME]
                                      error, delay, torn, lost, misdirected or bitrot; WHERE is read|write|flush|trim|zero,
                                      sectors=FIRST-LAST, nth=N, probability=P, times=N, with commas between
  faults list | faults clear [N]
  mark NAME                           a named point in the trace of a server with --record`;

/** @param done is told the exit status */
export function addNbdCommands(program: Command, terminal: Terminal, done: (status: number) => void): void {
  const quiet = (command: Command): Command =>
    command.exitOverride().configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} });
  const nbd = quiet(program.command('nbd').description('serve the disks of a simulated machine to real NBD clients, until a signal comes'))
    .enablePositionalOptions() // ctl and replay have some of the same names
    .option('--size <size>', 'persistent memory of the disk (default: 1G, in memory)')
    .option('--image <file>', 'keep the bytes in this file')
    .option('--nvdimm <spec>', 'as of boot; may be repeated', collect)
    .option('--disk <spec>', 'as of boot; may be repeated', collect)
    .option('--firmware <path>', 'as of boot')
    .option('--memory <size>', 'as of boot')
    .option('--cmdline <string>', 'as of boot')
    .option('--kernel <release>', 'as of boot')
    .option('--run <command>', "console command to run first, such as ndctl's; may be repeated", collect)
    .option('--export <name>', 'block device to export; may be repeated (default: all disks)', collect)
    .option('--read-only', 'refuse writes')
    .option('--socket <path>', 'listen on a Unix socket')
    .option('--port <n>', 'listen on this port of the loopback interface (default: 10809; 0: any free one)')
    .option('--sync', 'what a flush or FUA was answered for also survives a crash of this host: fdatasync of the image files')
    .addOption(
      new Option(
        '--tls <policy>',
        'encrypt the connections: off, on for clients that ask, or require (default: require with one of the next two, else off)',
      ).choices(['off', 'on', 'require']),
    )
    .option('--tls-certificates <dir>', 'folder with server-cert.pem and server-key.pem')
    .option('--tls-verify-peer', 'clients must show a certificate that ca-cert.pem of that folder signed')
    .option('--tls-psk <file>', 'keys that clients know, as lines identity:hexadecimal')
    .option('--control <path>', 'socket of the power switch (default: beside the other one, with .ctl)')
    .addOption(
      new Option('--on-cut <what>', 'what a power cut does to clients: fail their requests, or drop their connections').choices(['fail', 'drop']),
    )
    .option('--keep-cuts <n>', 'how many cuts are remembered with all their outcomes (default: 16)')
    .option('--open-stores <size>', 'how many bytes of stores a cut can take back from pmem, a power of two, or all (default: 256K)')
    .option('--record <file>', 'write a trace that can be replayed')
    .option('--seed <n>', 'choose the outcome of power cuts (default: 0)')
    .action(async (options: NbdCommandOptions) => {
      const { nbdCommand } = await import('./nbd-command.js');
      done(await nbdCommand(options, terminal));
    });
  quiet(nbd.command('ctl <socket> <action> [words...]').description('throw the power switch of a running server, and ask what it left'))
    .option('--json', "print the server's answer as JSON")
    .option('--seed <n>', 'choose by this seed')
    .option('--keep <rule>', 'powercut: none, all, random or prefix')
    .option('--on-cut <what>', 'powercut: fail or drop')
    .option('--after <n>', 'powercut: by itself, before the request that comes when so many more have been carried out')
    .option('--export <name>', 'states, faults: of this export (default: the first)')
    .option('--cut <n>', 'states: after this cut (default: the last)')
    .option('--count', 'states: how many there are')
    .option('--list', 'states: their names')
    .option('--sample <n>', 'states: names of so many, chosen by the seed')
    .option('--from <n>', 'states --list: from this one on')
    .option('--limit <n>', 'states --list: at most so many')
    .option('--uris', 'states: URIs instead of names')
    .option('--where <where>', 'faults: which requests it meets')
    .option('--ms <n>', 'faults delay: how long, in milliseconds')
    .option('--error <errno>', 'faults error: EIO, ENOSPC, ENOMEM or EPERM')
    .addHelpText('after', CTL_HELP)
    .action(async (socket: string, action: string, words: string[], options: NbdCtlOptions) => {
      const { nbdCtlCommand } = await import('./nbd-ctl-command.js');
      done(await nbdCtlCommand(socket, action, words, options, terminal));
    });
  quiet(nbd.command('replay <file>').description('make the machine of a trace again, and do to it what the trace tells'))
    .option('--until <point>', 'stop behind this mark, or behind the record of that number')
    .option('--image <file>', 'write what its disk holds then, after an orderly end')
    .option('--json', 'print JSON')
    .action(async (file: string, options: NbdReplayOptions) => {
      const { nbdReplayCommand } = await import('./nbd-replay-command.js');
      done(await nbdReplayCommand(file, options, terminal));
    });
}
