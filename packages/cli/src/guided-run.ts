/**
 * What `holdfast` shows first: the default machine boots, a pmem disk is written, the power is cut, and the bytes are there.
 * At a terminal the machine is then the person's; elsewhere that was all.
 */
import { type BootOutcome, formatLogLine } from '@holdfast/kernel';
import { type Terminal, bootFromOptions } from './boot-command.js';
import { createShell } from './console/shell.js';

const STEPS = [
  { say: 'The kernel found this memory, and this disk in it:', run: ['lsmem', 'lsblk'] },
  {
    say: 'Some bytes for the disk, made durable:',
    run: ["echo 'Holdfast keeps what it holds.' | dd of=/dev/pmem0 bs=4096 conv=fsync,notrunc", 'hexdump -C -n 32 /dev/pmem0'],
  },
  { say: 'Now somebody pulls the plug, and the machine boots again:', run: ['powercut'] },
  { say: 'The same bytes:', run: ['hexdump -C -n 32 /dev/pmem0', 'head -n 1 /dev/pmem0'] },
] as const;

/** The default machine: 4 GiB of RAM and 1 GiB of legacy pmem. */
const DEFAULT_MACHINE = { memory: '4G', nvdimm: ['size=1G'] };

/** @returns 0 if the bytes survived; after a console, the status of its last command */
export async function guidedRun(terminal: Terminal): Promise<number> {
  let boots = 0;
  const printLog = ({ log }: BootOutcome): void => {
    const lines = log.lines.map((line) => `${formatLogLine(line)}\n`);
    // The second log is the first one again: its pmem lines are news enough.
    terminal.out(boots++ === 0 ? lines.join('') : lines.filter((line) => /Linux version|persistent|pmem/.test(line)).join(''));
  };
  const system = await bootFromOptions(DEFAULT_MACHINE, undefined, printLog);
  const shown: string[] = [];
  const shell = createShell({
    system,
    out: (data) => {
      shown.push(new TextDecoder().decode(data));
      terminal.out(data);
    },
    err: (text) => terminal.out(text),
  });
  const outputs: string[] = [];
  for (const { say, run } of STEPS) {
    terminal.out(`\n== ${say}\n`);
    for (const line of run) {
      terminal.out(`# ${line}\n`);
      shown.length = 0;
      const status = await shell.run(line);
      if (status !== 0) return status;
      if (line.startsWith('hexdump')) outputs.push(shown.join(''));
    }
  }
  const same = outputs.length === 2 && outputs[0] === outputs[1] && outputs[0]!.includes('Holdfast');
  terminal.out(same ? '\nThe bytes survived. Try: npx holdfast boot --help\n' : '\nThe bytes are not the same.\n');
  const status = same && terminal.interactive ? await (await import('./interactive.js')).runConsole(system) : same ? 0 : 1;
  system.close();
  return status;
}
