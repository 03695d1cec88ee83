/**
 * The command line: options, help, and errors as a good Unix tool gives them (one line on stderr, exit status 2).
 */
import { Command, CommanderError, Option } from 'commander';
import { KernelError } from '@holdfast/lib';
import type { BootCommandOptions, Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';
import { collect } from './collect-option.js';
import type { CompareCommandOptions } from './compare-command.js';
import type { MemmapCommandOptions } from './memmap-command.js';
import { addNbdCommands } from './nbd-program.js';
import type { SizeCommandOptions } from './size-command.js';

const EXAMPLES = `
Examples:
  holdfast boot                                   a PC with 4G of RAM; its console, or its log where there is no terminal
  holdfast boot --firmware dmesg.txt --run lsmem  what the machine that wrote this log has
  holdfast boot --memory 8G --cmdline 'memmap=2G!4G' --run lsblk --run 'cat /proc/iomem'
  holdfast boot --nvdimm size=1G,image=pmem.img --run 'echo hello > /dev/pmem0' --run sync
  holdfast boot --pci-pmem size=1G,image=card.img --run lspci --run lsblk
  holdfast boot --firmware DIR --json             the facts, as one JSON object
  holdfast memmap --firmware dmesg.txt 4G!12G     what a memmap= option does to this machine, and what speaks against it
  holdfast size --size 1T                         what is left of a namespace in each mode, and what it costs
  holdfast compare --size 1T                      every struct-page design on the same device, side by side
  holdfast nbd --size 10G --socket /tmp/pmem.sock  a disk for qemu, fio, nbdcopy: it prints the URI
  holdfast boot --firmware DIR --sysroot out      /proc and /sys as files; then: lsmem --sysroot out
`;

/** @returns the exit status */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let status = 0;
  const program = new Command('holdfast')
    .description('Boots a simulated Linux memory subsystem, with persistent memory that survives power loss.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} })
    .enablePositionalOptions()
    .addHelpText('after', `\nWithout a command: boots a default machine and shows what it does; in a terminal, its console follows.\n${EXAMPLES}`)
    .usage('[boot [options] | memmap [options] | size [options] | compare [options] | nbd [options]]')
    .argument('[command]')
    .allowExcessArguments(true)
    .action(async (command?: string) => {
      if (command !== undefined) throw new CliError(`unknown command '${command}'`);
      status = await startDefault(terminal);
    });
  program
    .command('boot')
    .description('boot a machine, and run commands on it, show its log, or print its facts')
    .option('--firmware <path>', 'firmware description: a directory, or a file with an e820 map or a whole dmesg')
    .option('--memory <size>', 'RAM of a machine without --firmware (default: 4G)')
    .option('--cmdline <string>', "kernel command line (default: the firmware description's, or empty)")
    .option('--kernel <release>', "Linux release to mirror (default: a dmesg's own, or 6.1)")
    .option('--nvdimm <spec>', 'add persistent memory: size=1G[,label=128K][,image=FILE]; may be repeated', collect)
    .option('--disk <spec>', 'add a disk with a volatile write cache: size=1G[,image=FILE][,sector=512][,atomic=4096][,cache=16M]; may be repeated', collect)
    .option('--virtio-pmem <spec>', 'add persistent memory in a file of the host: size=1G[,image=FILE][,id=vp0]; may be repeated', collect)
    .option('--virtio-mem <spec>', 'add RAM that the host gives and takes: size=4G[,requested=1G][,block=2M][,node=0][,id=vm0]; may be repeated', collect)
    .option('--pci-pmem <spec>', 'plug in a PCI card with persistent memory: size=1G[,image=FILE]; may be repeated', collect)
    .option('--ars', 'firmware that scrubs, clears and injects media errors of NVDIMMs with labels, as servers have it')
    .option('--run <command>', 'run a console command; may be repeated; the last status is the exit status', collect)
    .option('--script <file>', 'run console commands from a file, or - for standard input')
    .option('--dmesg', 'print the kernel log even with --run')
    .option('--explain', 'say why a command was refused, and what would do instead')
    .option('--json', 'print the facts as JSON, and nothing else')
    .option('--sysroot <dir>', 'write /proc and /sys as files there, at the end')
    .option('--seed <n>', 'choose the outcome of power cuts (default: 0)')
    .option('--cpus <n>', "number of CPUs (default: the SRAT's, or 1)")
    .addOption(new Option('--la57', '5-level paging (default: where the map needs it)'))
    .addOption(new Option('--no-la57', '4-level paging').hideHelp())
    .option('--bare-metal', 'no hypervisor, which the kernel asks for some defaults')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} })
    .action(async (options: BootCommandOptions) => {
      const { bootCommand } = await import('./boot-command.js');
      status = await bootCommand(options, terminal);
    });
  program
    .command('size')
    .description('tell what each kind of namespace on a device leaves for data and costs in RAM, or which one leaves enough')
    .option('--size <size>', 'bytes of the namespace')
    .option('--need <size>', 'bytes of data that are wanted: tells the smallest namespace of each kind')
    .option('--start <address>', 'where the device begins', '4G')
    .option('--block <size>', 'size of a memory block, for devdax as RAM', '128M')
    .option('--ways <n>', 'DIMMs that the region is interleaved over', '1')
    .option('--json', 'print JSON')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} })
    .action(async (options: SizeCommandOptions) => {
      const { sizeCommand } = await import('./size-command.js');
      status = sizeCommand(options, terminal);
    });
  program
    .command('memmap')
    .description('try a memmap= option on a machine before the machine is rebooted with it, or find a place for so much')
    .argument('[option...]', 'such as 4G!12G, or memmap=4G!12G')
    .option('--size <size>', 'find a place for so much, instead')
    .option('--firmware <path>', 'as of boot')
    .option('--memory <size>', 'as of boot')
    .option('--cmdline <string>', "what the machine is booted with anyway (default: the firmware description's, without its memmap=)")
    .option('--kernel <release>', 'as of boot')
    .option('--json', 'print JSON')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} })
    .action(async (words: string[], options: MemmapCommandOptions) => {
      const { memmapCommand } = await import('./memmap-command.js');
      status = await memmapCommand(words, options, terminal);
    });
  program
    .command('compare')
    .description('put every struct-page design on the same device: what each costs, what works, what a power cut loses')
    .option('--size <size>', 'persistent memory of the device', '1T')
    .option('--memory <size>', 'RAM of the machine (default: 16G and a sixteenth of the device, at most 1T)')
    .option('--designs <names>', 'only these, with commas between them')
    .option('--mapping <type>', 'memory type of the device: uc, wc, wt, wb', 'wb')
    .option('--bus <bus>', 'what tells of the device: e820, nvdimm (an NFIT), pci (a card)', 'e820')
    .option('--workload <name>', 'randwrite-4k, randread-4k, seqwrite-128k, seqread-128k, overwrite-hot, dax-log', 'randwrite-4k')
    .option('--json', 'print JSON')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text), outputError: () => {} })
    .action(async (options: CompareCommandOptions) => {
      const { compareCommand } = await import('./compare-command.js');
      status = compareCommand(options, terminal);
    });
  addNbdCommands(program, terminal, (code) => (status = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError || error instanceof KernelError || error instanceof CliError) {
      terminal.err(`holdfast: ${error.message.replace(/^error: /, '').replaceAll('\n', ' ')}\n`);
      return 2;
    }
    throw error;
  }
}


async function startDefault(terminal: Terminal): Promise<number> {
  const { guidedRun } = await import('./guided-run.js');
  return guidedRun(terminal);
}
