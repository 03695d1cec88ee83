/**
 * `holdfast boot`: from options to a machine, from a machine to a kernel, and from a kernel to what was asked of it.
 */
import { readFileSync } from 'node:fs';
import { type BootOutcome, formatLogLine } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { type MachineDescription, assembleHardware, openImages, planBoot } from './boot-plan.js';
import { isGuestScript, scriptCommands } from './console/script-lines.js';
import { CliError } from './cli-error.js';
import { MonitorError } from './host/monitor-error.js';
import { plugCards } from './pci-cards.js';
import type { CommandRunner } from './run-commands.js';
import { type System, createSystem } from './system.js';
import { parseVirtioMem, parseVirtioPmem, plugVirtio } from './virtio-devices.js';

/** As commander gives them; all text as typed. */
export interface BootCommandOptions extends MachineDescription {
  virtioPmem?: string[];
  virtioMem?: string[];
  run?: string[];
  script?: string;
  dmesg?: boolean;
  json?: boolean;
  sysroot?: string;
  /** Print, behind each command that failed, which rule refused it and what would do. */
  explain?: boolean;
}

/** Where output goes, and whether a person sits there. */
export interface Terminal {
  readonly interactive: boolean;
  out(data: string | Uint8Array): void;
  err(text: string): void;
}

/** Build the machine that the options ask for, and boot it. @throws CliError, KernelError for bad files and sizes. */
export async function bootFromOptions(
  options: BootCommandOptions,
  note: (text: string) => void = () => {},
  onBoot?: (outcome: BootOutcome) => void,
): Promise<System> {
  const plan = planBoot(options, note);
  const virtioPlans = [...(options.virtioPmem ?? []).map(parseVirtioPmem), ...(options.virtioMem ?? []).map(parseVirtioMem)];
  const { images, files } = await openImages(plan);
  try {
    const { machine, firmware, drives } = assembleHardware(plan, images);
    const pci = await plugCards(machine, plan.cards, files);
    const virtio = await plugVirtio(machine, firmware, virtioPlans, plan.dimms);
    files.push(...virtio.images);
    const { cmdline, release, config, seed, dimms } = plan;
    return createSystem({
      machine, images: files, virtio: virtio.devices, dimms, drives, firmware, cmdline, release, config, seed, ...(pci ? { pci } : {}),
      ...(onBoot ? { onBoot } : {}),
    });
  } catch (error) {
    for (const file of files) file.close();
    throw error instanceof MonitorError ? new CliError(error.message) : error;
  }
}

/** The whole command: boot, then run, print and export as asked. @returns the exit status */
export async function bootCommand(options: BootCommandOptions, terminal: Terminal): Promise<number> {
  const work = commandsOf(options);
  const asked = work.length > 0 || options.json === true || options.sysroot !== undefined;
  const console = !asked && terminal.interactive;
  const showLog = options.dmesg === true || !asked;
  const printLog = ({ log }: BootOutcome): void => {
    if (showLog && !options.json) terminal.out(log.lines.map((line) => `${formatLogLine(line)}\n`).join(''));
  };
  const system = await bootFromOptions(options, (text) => terminal.err(`holdfast: ${text}\n`), printLog);
  if (system.panic !== undefined) terminal.err(`holdfast: the kernel panicked: ${system.panic}\n`);
  let status = system.panic === undefined ? 0 : 1;
  if (options.json) {
    status = await runForJson(system, work, terminal, { status, explain: options.explain === true });
  } else if (work.length > 0) {
    const { createCommandRunner } = await import('./run-commands.js');
    const runner = createCommandRunner(system, {
      output: { out: (data) => terminal.out(data), err: (text) => terminal.err(text) },
      explain: options.explain === true,
    });
    status = await runAll(runner, work);
  }
  if (options.sysroot !== undefined) await writeSysroot(system, options.sysroot, terminal);
  if (console && system.poweredOn) {
    const { runConsole } = await import('./interactive.js');
    status = await runConsole(system);
  }
  system.close();
  return status;
}

async function runForJson(
  system: System,
  work: readonly Work[],
  terminal: Terminal,
  { status, explain }: { status: number; explain: boolean },
): Promise<number> {
  const [{ createCommandRunner }, { bootFacts, withCommands }] = await Promise.all([import('./run-commands.js'), import('./report.js')]);
  const facts = bootFacts(system, system.kernel?.cmdline ?? '');
  const runner = createCommandRunner(system);
  const last = work.length > 0 ? await runAll(runner, work) : status;
  terminal.out(`${JSON.stringify(withCommands(facts, runner, { explain }), undefined, 1)}\n`);
  return last;
}

/** Something to run: a command with a record of its own, or a guest script that makes its records. */
interface Work {
  readonly text: string;
  readonly isScript: boolean;
}

async function runAll(runner: CommandRunner, work: readonly Work[]): Promise<number> {
  for (const { text, isScript } of work) {
    if (runner.exited) break;
    await (isScript ? runner.runScript(text) : runner.run(text));
  }
  return runner.status;
}

async function writeSysroot(system: System, target: string, terminal: Terminal): Promise<void> {
  const { exportSysroot } = await import('./sysroot.js');
  const { directories, files, links } = exportSysroot(system.root, target);
  terminal.err(`holdfast: ${target}: ${directories} directories, ${files} files, ${links} links\n`);
}

/** The lines of --run, then what --script holds. */
function commandsOf({ run = [], script }: BootCommandOptions): Work[] {
  const lines = run.map((text) => ({ text, isScript: false }));
  if (script === undefined) return lines;
  const text = readScript(script);
  if (isGuestScript(text)) return [...lines, { text, isScript: true }];
  return [...lines, ...scriptCommands(text).map((command) => ({ text: command, isScript: false }))];
}

function readScript(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new KernelError(missing ? 'ENOENT' : 'EIO', `${path}: ${missing ? 'No such file or directory' : String(error)}`, { cause: error });
  }
}
