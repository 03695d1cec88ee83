/**
 * Reads captured cases: directories with `firmware/`, `case.json` and `expected.json`, and maybe `commands.json`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { VirtioPlan } from '@holdfast/cli';
import { virtioPlans } from './virtio-plans.js';

/** A captured command; `state` only for `lite`. */
export interface CapturedCommand {
  readonly n: number;
  readonly cmd: string;
  readonly rc?: number;
  readonly stdout?: unknown;
  readonly stderr?: readonly string[];
  readonly dmesg?: readonly string[];
  readonly state?: Record<string, unknown>;
}

export interface GoldenCase {
  readonly name: string;
  /** `maps`, `memmap`, … as case.json says. */
  readonly group: string;
  readonly firmwareDir: string;
  readonly la57: boolean;
  /** The guest script: which captures and commands, in order. */
  readonly guest: string;
  readonly expected: { readonly finished: boolean; readonly captures: Record<string, Record<string, unknown>> } & Record<string, unknown>;
  readonly commands: readonly CapturedCommand[];
  /** Devices with memory that the hypervisor gave the guest. */
  readonly virtio: readonly VirtioPlan[];
  /** What the kernel was given. */
  readonly cmdline: string;
  /** `boot2`, `boot3`, …: later boots on the same media. */
  readonly laterBoots: readonly GoldenCase[];
}

/** All cases in a directory, or the directory itself if it is a case. @throws Error that names what is missing. */
export function loadCases(directory: string): GoldenCase[] {
  if (existsSync(join(directory, 'case.json'))) return [loadCase(directory)];
  const names = readdirSync(directory).sort().filter((name) => existsSync(join(directory, name, 'case.json')));
  if (names.length === 0) throw new Error(`${directory}: no cases: expected directories with case.json, expected.json and firmware/`);
  return names.map((name) => loadCase(join(directory, name)));
}

function loadCase(directory: string): GoldenCase {
  const about = readJson(join(directory, 'case.json')) as { name?: string; group?: string; cpu?: string; guest?: string; cmdline?: string; qemu?: string[] };
  const commands = join(directory, 'commands.json');
  return {
    name: about.name ?? basename(directory),
    group: about.group ?? '',
    firmwareDir: join(directory, 'firmware'),
    la57: about.cpu !== undefined && !about.cpu.includes('la57=off'),
    guest: about.guest ?? '',
    virtio: virtioPlans(about.qemu ?? []),
    cmdline: about.cmdline ?? '',
    laterBoots: [2, 3, 4, 5, 6, 7, 8, 9].map((boot) => join(directory, `boot${boot}`)).filter((path) => existsSync(join(path, 'case.json'))).map(loadCase),
    expected: readExpected(directory),
    commands: existsSync(commands) ? (readJson(commands) as CapturedCommand[]) : [],
  };
}

/** The facts; but of `total_pages`, which is the last of several where memory was added later, the one of the boot. */
function readExpected(directory: string): GoldenCase['expected'] {
  const expected = readJson(join(directory, 'expected.json')) as GoldenCase['expected'] & { memblock?: { total_pages?: number } };
  const log = join(directory, 'dmesg.txt');
  const built = existsSync(log) ? /^Built \d+ zonelists,.*Total pages: (\d+)/m.exec(readFileSync(log, 'utf8')) : null;
  if (built && expected.memblock?.total_pages !== undefined) expected.memblock.total_pages = Number(built[1]);
  return expected;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
