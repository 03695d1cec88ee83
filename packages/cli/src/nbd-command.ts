/**
 * `holdfast nbd`: boots a machine and serves its disks to real NBD clients, until it is told to stop.
 */
import type { AddressInfo } from 'node:net';
import { type NbdAddress, type NbdCounters, createMachineExports, createNbdServer } from '@holdfast/nbd';
import { type BootCommandOptions, type Terminal, bootFromOptions } from './boot-command.js';
import { CliError } from './cli-error.js';
import type { System } from './system.js';

export interface NbdCommandOptions extends BootCommandOptions {
  image?: string;
  size?: string;
  socket?: string;
  port?: string;
  export?: string[];
  readOnly?: boolean;
}

const DEFAULT_SIZE = '1G';
const STATUS_MS = 1000;

/** Runs until a signal. @returns the exit status @throws CliError for options that do not fit together */
export async function nbdCommand(options: NbdCommandOptions, terminal: Terminal): Promise<number> {
  const address = addressOf(options);
  const signalled = untilSignal(); // whenever one comes, also while the machine boots
  const system = await bootFromOptions(withDisk(options), (text) => terminal.err(`holdfast: ${text}\n`));
  try {
    if (!system.kernel) throw new CliError(`the kernel panicked: ${system.panic}`);
    await prepare(system, options.run ?? [], terminal);
    const kernel = (): { block: typeof system.kernel.block; memory: typeof system.kernel.machine.memory } | undefined =>
      system.kernel && { block: system.kernel.block, memory: system.kernel.machine.memory };
    const exports = createMachineExports({ kernel, readOnly: options.readOnly === true, ...(options.export ? { names: options.export } : {}) });
    if (exports().length === 0) throw new CliError('this machine has no disk to export');
    const server = createNbdServer({ exports });
    await server.listen(address);
    for (const { name } of exports()) terminal.out(`${uriOf(server.address() as AddressInfo | string, name)}\n`);
    const stopStatus = terminal.interactive ? showStatus(server.counters, terminal) : () => {};
    await signalled;
    stopStatus();
    await server.close();
    return 0;
  } finally {
    system.close();
  }
}

function addressOf({ socket, port }: NbdCommandOptions): NbdAddress {
  if (socket !== undefined && port !== undefined) throw new CliError('give --socket or --port, not both');
  if (socket !== undefined) return { socket };
  const number = port === undefined ? 10809 : Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65535) throw new CliError(`--port '${port}': expected a whole number from 0 to 65535`);
  return { port: number };
}

/** `--size` and `--image` are short for one NVDIMM; without any description of a disk there is one in memory. */
function withDisk(options: NbdCommandOptions): BootCommandOptions {
  const { image, size, nvdimm, disk, firmware } = options;
  if (image === undefined && size === undefined && (nvdimm ?? disk ?? firmware) !== undefined) return options;
  const spec = `size=${size ?? DEFAULT_SIZE}${image === undefined ? '' : `,image=${image}`}`;
  return { ...options, nvdimm: [...(nvdimm ?? []), spec] };
}

/** Console commands before the first client, such as ndctl's. */
async function prepare(system: System, commands: readonly string[], terminal: Terminal): Promise<void> {
  if (commands.length === 0) return;
  const { createCommandRunner } = await import('./run-commands.js');
  const runner = createCommandRunner(system, { output: { out: (data) => terminal.out(data), err: (text) => terminal.err(text) } });
  for (const command of commands) {
    await runner.run(command);
    if (runner.status !== 0) throw new CliError(`--run '${command}' ended with status ${runner.status}`);
  }
}

/** What to paste into nbdinfo, nbdcopy, qemu or fio. */
function uriOf(address: AddressInfo | string, name: string): string {
  const path = encodeURIComponent(name);
  if (typeof address === 'string') return `nbd+unix:///${path}?socket=${encodeURI(address)}`;
  return `nbd://127.0.0.1:${address.port}/${path}`;
}

/** One line that is written over each second. */
function showStatus(counters: NbdCounters, terminal: Terminal): () => void {
  let before = { ...counters };
  const timer = setInterval(() => {
    const rate = (key: keyof NbdCounters): number => counters[key] - before[key];
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB/s`;
    const line = `read ${rate('reads')} IOPS ${mib(rate('bytesRead'))}   write ${rate('writes')} IOPS ${mib(rate('bytesWritten'))}   errors ${counters.errors}`;
    before = { ...counters };
    terminal.err(`\r\x1b[K${line}`);
  }, STATUS_MS);
  return () => {
    clearInterval(timer);
    terminal.err('\n');
  };
}

/** Listens for good: a second signal must not cut the orderly end short that the first one began. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}
