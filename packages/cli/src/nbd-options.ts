/**
 * What the commands around `holdfast nbd` say of the machine, and how it is made of that.
 */
import { type MachineDescription, type StoreImages, openImages, planBoot } from './boot-plan.js';
import type { Terminal } from './boot-command.js';
import { CliError } from './cli-error.js';
import { type NbdMachine, createNbdMachine } from './nbd-machine.js';
import type { System } from './system.js';

export interface NbdMachineOptions extends MachineDescription {
  /** Short for one NVDIMM. */
  image?: string;
  size?: string;
  /** Console commands before the first client, such as ndctl's. */
  run?: string[];
  export?: string[];
  readOnly?: boolean;
}

const DEFAULT_SIZE = '1G';

/** `--size` and `--image` are short for one NVDIMM; without any description of a disk there is one in memory. */
export function withDisk<T extends NbdMachineOptions>(options: T): T {
  const { image, size, nvdimm, disk, firmware } = options;
  if (image === undefined && size === undefined && (nvdimm ?? disk ?? firmware) !== undefined) return options;
  const spec = `size=${size ?? DEFAULT_SIZE}${image === undefined ? '' : `,image=${image}`}`;
  return { ...options, nvdimm: [...(nvdimm ?? []), spec] };
}

export interface NbdMachineNeeds {
  readonly terminal: Pick<Terminal, 'out' | 'err'>;
  /** Of the exports, once they are known. */
  readonly names: () => readonly string[];
  /** Other images than the files that the options name. */
  readonly images?: (plan: ReturnType<typeof planBoot>) => StoreImages;
  /** Told of the images before the machine is made of them. */
  readonly onImages?: (images: StoreImages) => void;
}

/** Boot the machine and run its first commands. @throws CliError, KernelError */
export async function bootNbdMachine(options: NbdMachineOptions, { terminal, names, images: otherImages, onImages }: NbdMachineNeeds): Promise<NbdMachine> {
  const plan = planBoot(withDisk(options), (text) => terminal.err(`holdfast: ${text}\n`));
  const { images, files } = otherImages ? { images: otherImages(plan), files: [] } : await openImages(plan);
  try {
    onImages?.(images);
    const machine = createNbdMachine(plan, images, files, names);
    const { system } = machine;
    if (!system.kernel) throw new CliError(`the kernel panicked: ${system.panic}`);
    await prepare(system, options.run ?? [], terminal);
    return machine;
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

async function prepare(system: System, commands: readonly string[], terminal: Pick<Terminal, 'out' | 'err'>): Promise<void> {
  if (commands.length === 0) return;
  const { createCommandRunner } = await import('./run-commands.js');
  const runner = createCommandRunner(system, { output: { out: (data) => terminal.out(data), err: (text) => terminal.err(text) } });
  for (const command of commands) {
    await runner.run(command);
    if (runner.status !== 0) throw new CliError(`--run '${command}' ended with status ${runner.status}`);
  }
}
