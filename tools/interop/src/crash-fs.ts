/**
 * `node tools/interop/dist/crash-fs.js`: a real Linux makes a file system on a disk of `holdfast nbd` and writes files with fsync; the power
 * is cut; in every disk that may be left, or a sample, the journal is replayed, what fsync had returned for is compared, and the file
 * system's checker looks at the rest. With --work sqlite it is SQLite that writes and is asked.
 * Prints counts; status 1 where a state is bad, or, with --lie, where none is.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { InstalledLinux } from '@holdfast/capture';
import { toolCommand, wholeNumber } from '@holdfast/command-line';
import { InvalidArgumentError } from 'commander';
import { findDiskLinux, workUntilCut } from './crash-guest.js';
import type { CrashWork } from './crash-work.js';
import { FILE_SYSTEMS, type FileSystem } from './file-systems.js';
import { FILE_WORK } from './file-work.js';
import { type LookOptions, lookWithLinux, lookWithE2fsck } from './look-at-states.js';
import { replays, startNbd } from './nbd-process.js';
import { SQLITE_WORK } from './sqlite-work.js';

/** The power goes before one of these requests of the work. */
const REQUESTS = 1000;
const SIZES: Readonly<Record<FileSystem, string>> = { ext4: '64M', xfs: '300M' };
const WORKS = { files: FILE_WORK, sqlite: SQLITE_WORK } as const satisfies Readonly<Record<string, CrashWork>>;

interface Options {
  readonly fs: FileSystem;
  readonly work: keyof typeof WORKS;
  readonly seed: number;
  readonly cuts: number;
  readonly states: number;
  readonly mount: number;
  readonly disk?: string;
  readonly nvdimm?: string;
  readonly lie?: number;
}

const command = toolCommand(
  'crash-fs',
  'Lets a real Linux write to a file system on a simulated disk, cuts the power, and checks every disk that may be left.',
);
const options = command
  .addOption(command.createOption('--fs <name>', 'file system').choices(FILE_SYSTEMS).default('ext4'))
  .addOption(command.createOption('--work <name>', 'what writes').choices(Object.keys(WORKS)).default('files'))
  .option('--seed <n>', 'chooses when the power goes, and a sample of the disks', wholeNumber(0), 1)
  .option('--cuts <n>', 'power cuts, each on a new disk: seeds from --seed on', wholeNumber(), 1)
  .option('--states <n>', 'disks that are looked at; a sample where more may be left', wholeNumber(), 2000)
  .option('--mount <n>', 'ext4: so many of them are mounted by a Linux, too; xfs: all are', wholeNumber(0), 0)
  .option('--disk <spec>', "a disk as of `holdfast nbd` (default: size=64M for ext4, 300M for xfs)")
  .option('--nvdimm <spec>', 'an NVDIMM as of `holdfast nbd`, instead')
  .option('--lie <chance>', 'answer a flush without carrying it out, with this chance from 0 to 1: then a bad disk must be found', chance)
  .parse()
  .opts<Options>();

const say = (line: string): void => void process.stdout.write(`${line}\n`);

// An orderly exit: the scratch goes. Server and guests go with this process, whatever ends it.
for (const [signal, nr] of [['SIGHUP', 1], ['SIGINT', 2], ['SIGTERM', 15]] as const) process.on(signal, () => process.exit(128 + nr));

const linux = findDiskLinux();
if (typeof linux === 'string') {
  say(
    `crash-fs: skipped: ${linux} (Debian: apt-get install qemu-system-x86 linux-image-amd64 ndctl daxctl busybox-static e2fsprogs xfsprogs libnbd-bin sqlite3)`,
  );
} else {
  for (let seed = options.seed; seed < options.seed + options.cuts; seed++) {
    const scratch = mkdtempSync(join(tmpdir(), 'holdfast-crash-fs-'));
    const removeScratch = (): void => rmSync(scratch, { recursive: true, maxRetries: 3 }); // the server may be writing there still
    process.once('exit', removeScratch);
    if (!(await crash(linux, options.fs, WORKS[options.work], seed, scratch))) process.exitCode = 1;
    process.off('exit', removeScratch);
    removeScratch();
  }
}

/** @returns whether all is as it should be */
async function crash(installed: InstalledLinux, fs: FileSystem, work: CrashWork, seed: number, scratch: string): Promise<boolean> {
  const trace = join(scratch, 'trace');
  const store = options.nvdimm === undefined ? ['--disk', options.disk ?? `size=${SIZES[fs]}`] : ['--nvdimm', options.nvdimm, '--open-stores', '8M'];
  const server = await startNbd(join(scratch, 'nbd.ctl'), [...store, '--record', trace]);
  const exported = options.nvdimm === undefined ? 'sda' : 'pmem0';
  try {
    if (options.lie !== undefined) await server.ctl('faults', 'lost', '--where', `flush,probability=${options.lie}`, '--seed', String(seed));
    const after = (Math.imul(seed, 2654435761) >>> 0) % REQUESTS;
    const synced = await workUntilCut({ linux: installed, server, exported, fs, work, after, seed, scratch });
    const { count } = (await server.ctl('states', '--count')) as { count: string };
    const { names } = (await server.ctl('states', '--sample', String(options.states), '--seed', String(seed))) as { names: string[] };
    say(`${fs} on ${exported}, seed ${seed}: the power went after ${after} requests and ${synced.length} ${work.unit}; ${digits(count)} different disks`);
    const lookOptions = { linux: installed, fs, work, synced, uriOf: server.uriOf, scratch };
    const bad = new Map<string, string>();
    if (fs === 'ext4') await look(lookWithE2fsck, 'replayed by e2fsck', lookOptions, names, bad);
    const mounted = fs === 'xfs' ? names : names.slice(0, options.mount);
    if (mounted.length > 0) await look(lookWithLinux, 'replayed by Linux', lookOptions, mounted, bad);
    for (const [name, why] of [...bad].slice(0, 10)) say(`  BAD ${name}: ${why}`);
    await server.stop();
    const same = await replays(trace);
    say(same ? '  the trace replays to the same cut' : '  the trace replays to ANOTHER cut');
    return same && (options.lie === undefined) === (bad.size === 0);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function look(
  how: typeof lookWithLinux,
  by: string,
  lookOptions: Omit<LookOptions, 'looked'>,
  names: readonly string[],
  bad: Map<string, string>,
): Promise<void> {
  const began = performance.now();
  const step = Math.ceil(names.length / 10);
  const looked = (done: number): void => {
    if (done % step === 0 && done < names.length) process.stderr.write(`  ${done} of ${names.length} ${by}\n`);
  };
  const found = await how({ ...lookOptions, looked }, names);
  say(`  ${names.length} ${by} in ${((performance.now() - began) / 1000).toFixed(0)} s: ${names.length - found.size} good, ${found.size} bad`);
  for (const [name, why] of found) bad.set(name, why);
}

function chance(text: string): number {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || value > 1) throw new InvalidArgumentError('Expected a number from 0 to 1.');
  return value;
}

function digits(count: string): string {
  return count.length > 12 ? `a number of ${count.length} digits of` : count;
}
