/**
 * The facts of a boot and of the commands after it, as one object: what `--json` prints, in the shape of `expected.json`.
 */
import type { KernelLog } from '@holdfast/kernel';
import { KERN } from '@holdfast/lib';
import { type Capture, type FirmwareMemmapFact, captureFacts, firmwareMemmapFacts } from './facts/capture.js';
import { type E820Facts, type MemblockFacts, parseBootLog } from './facts/boot-log.js';
import type { CommandRecord, CommandRunner, LiteRecord } from './run-commands.js';
import type { System } from './system.js';

export interface BootFacts {
  boot: 1;
  cmdline: string;
  kernel?: string;
  /** False where the kernel panicked; `panic` then says why. */
  finished: boolean;
  panic?: string;
  e820: E820Facts;
  firmware_memmap: FirmwareMemmapFact[];
  memblock: MemblockFacts;
  captures: Record<string, Capture>;
  commands: (CommandRecord | LiteRecord)[];
  /** The commands that failed. */
  errors: { n: number; cmd: string; rc: number; error: string[]; stdout: string | object; dmesg: string[] }[];
}

/** What is known right after the boot, `captures.boot` among it. */
export function bootFacts(system: System, cmdline: string): BootFacts {
  const { kernel, e820, memblock } = parseBootLog(system.panic === undefined ? logText(system.log) : consoleText(system.log));
  return {
    boot: 1,
    cmdline,
    ...(kernel === undefined ? {} : { kernel }),
    finished: system.kernel !== undefined,
    ...(system.panic === undefined ? {} : { panic: system.panic }),
    e820,
    firmware_memmap: firmwareMemmapFacts(system.root),
    memblock,
    captures: system.kernel ? { boot: captureFacts(system.root) } : {},
    commands: [],
    errors: [],
  };
}

/** The same with what the commands gave, and with `explain` why they were refused. */
export function withCommands(facts: BootFacts, { records, captures }: Pick<CommandRunner, 'records' | 'captures'>, { explain = false } = {}): BootFacts {
  const failed = records.filter((record): record is CommandRecord => 'rc' in record && record.rc !== 0);
  return {
    ...facts,
    captures: { ...facts.captures, ...captures },
    commands: records.map((record) => (explain || !('why' in record) ? record : withoutWhy(record))),
    errors: failed.map(({ n, cmd, rc, stderr, stdout, dmesg }) => ({ n, cmd, rc, error: stderr, stdout, dmesg })),
  };
}

/** All that is known of a kernel that died: what its console showed, which leaves debug messages out. */
function consoleText(log: KernelLog): string {
  return log.lines.filter(({ level }) => level < KERN.debug).map(({ text }) => text).join('\n');
}

export function logText(log: KernelLog): string {
  return log.lines.map(({ text }) => text).join('\n');
}

function withoutWhy(record: CommandRecord): CommandRecord {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== 'why')) as unknown as CommandRecord;
}
