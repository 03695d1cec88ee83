/**
 * `node tools/interop/dist/crash-fs.js`: a real Linux makes a file system on a disk of `holdfast nbd` and writes files with fsync; the power
 * is cut; every disk that may be left, or a sample, is mounted by a second Linux (its journal is replayed), compared with what fsync had
 * returned for, and looked at by e2fsck or xfs_repair. With --work sqlite it is SQLite that writes and is asked.
 * Prints counts; status 1 where a state is bad, or, with --lie, where none is.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { diskNames, findDiskLinux, startDiskGuest } from './disk-guest.js';
import type { InstalledLinux } from '@holdfast/capture';
import { FILE_SYSTEMS, FILE_WORK, type FileSystem, SYNCED, checkScript, contentOf, workload } from './fs-workload.js';
import { DATABASE_FILES, SQLITE_WORK, sqliteTrouble } from './sqlite-workload.js';
import { type NbdProcess, replays, startNbd, uriOf } from './nbd-process.js';

const { values: options } = parseArgs({
  options: {
    fs: { type: 'string', default: 'ext4' },
    /** `files`, or `sqlite`: rows instead, on ext4. */
    work: { type: 'string', default: 'files' },
    seed: { type: 'string', default: '1' },
    /** More states than this are sampled. */
    states: { type: 'string', default: '2000' },
    /** Of those, so many are also mounted by a Linux; xfs: all are. */
    mount: { type: 'string', default: '0' },
    /** What `holdfast nbd` is to serve. */
    disk: { type: 'string', default: 'size=320M' },
    nvdimm: { type: 'string' },
    /** A disk that answers each flush with this chance, and does not carry it out. */
    lie: { type: 'string' },
  },
});
const run = promisify(execFile);
/** Machines that run at a time for one checking guest. */
const STATES_A_GUEST = 20;
/** The power goes before one of these requests. */
const FIRST_REQUEST = 100;
const REQUESTS = 600;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const linux = findDiskLinux();
if (typeof linux === 'string') say(`crash-fs: skipped: ${linux} (Debian: apt-get install qemu-system-x86 linux-image-amd64 busybox-static e2fsprogs xfsprogs libnbd-bin sqlite3)`);
else {
  const fs = FILE_SYSTEMS.find((each) => each === options.fs);
  if (!fs) throw new Error(`--fs '${options.fs}': expected ${FILE_SYSTEMS.join(' or ')}`);
  if (options.work !== 'files' && !(options.work === 'sqlite' && fs === 'ext4')) throw new Error(`--work '${options.work}': expected files, or sqlite on ext4`);
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-crash-fs-'));
  try {
    process.exitCode = await crash(linux, fs, scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function crash(installed: InstalledLinux, fs: FileSystem, scratch: string): Promise<number> {
  const seed = Number(options.seed);
  const trace = join(scratch, 'trace');
  const store = options.nvdimm === undefined ? ['--disk', options.disk] : ['--nvdimm', options.nvdimm, '--open-stores', '8M'];
  const server = await startNbd(join(scratch, 'nbd.sock'), [...store, '--record', trace]);
  const exported = options.nvdimm === undefined ? 'sda' : 'pmem0';
  try {
    if (options.lie !== undefined) await server.ctl('faults', 'lost', '--where', `flush,probability=${options.lie}`, '--seed', String(seed));
    const synced = await untilCut(installed, fs, server, exported, seed, scratch);
    const { count } = (await server.ctl('states', '--count')) as { count: string };
    const most = Number(options.states);
    const { names } = (await server.ctl('states', '--sample', String(most), '--seed', String(seed))) as { names: string[] };
    say(`${fs}: ${synced.length} ${options.work === 'sqlite' ? 'rows committed' : 'files with fsync'} when the power went; ${count.length > 12 ? `a number of ${count.length} digits` : count} different disks, ${names.length} looked at`);
    const bad = new Map<string, string>();
    if (fs === 'ext4') await checkExt4(server, names, synced, scratch, bad);
    const mounted = fs === 'xfs' ? names : names.slice(0, Number(options.mount));
    for (let i = 0; i < mounted.length; i += STATES_A_GUEST) await checkMounted(installed, fs, server, mounted.slice(i, i + STATES_A_GUEST), synced, scratch, bad);
    for (const [name, why] of [...bad].slice(0, 10)) say(`BAD ${name}: ${why}`);
    say(`${names.length - bad.size} good, ${bad.size} bad${mounted.length > 0 ? `; ${mounted.length} of them mounted by Linux` : ''}`);
    await server.stop();
    const same = await replays(trace);
    say(same ? 'the trace replays to the same cut' : 'the trace replays to ANOTHER cut');
    const wanted = options.lie === undefined ? bad.size === 0 : bad.size > 0;
    return wanted && same ? 0 : 1;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Let Linux work until the seed cuts the power; the files that fsync has returned for. */
async function untilCut(installed: InstalledLinux, fs: FileSystem, server: NbdProcess, exported: string, seed: number, scratch: string): Promise<number[]> {
  const guest = startDiskGuest({ linux: installed, socket: server.socket, exports: [exported], script: workload(fs, options.work === 'sqlite' ? SQLITE_WORK : FILE_WORK), scratch, name: 'work' });
  const synced: number[] = [];
  const console: string[] = [];
  for await (const line of guest.lines) {
    console.push(line);
    if (line.trim() === '@@mounted') {
      const after = FIRST_REQUEST + ((Math.imul(seed, 2654435761) >>> 0) % REQUESTS);
      await server.ctl('powercut', '--after', String(after), '--keep', 'none', '--seed', String(seed));
    }
    const nr = SYNCED.exec(line.trim())?.[1];
    if (nr !== undefined) synced.push(Number(nr));
    if (line.trim() === '@@over') guest.kill();
  }
  await guest.exited;
  const { power } = (await server.ctl('status')) as { power: string };
  if (power !== 'off') throw new Error(`the guest stopped after ${synced.length} files, and the power is on:\n${console.slice(-20).join('\n')}`);
  return synced;
}

/** With e2fsprogs of this machine, on a copy: replay the journal, look at all of it, and get the files out. */
async function checkExt4(server: NbdProcess, names: readonly string[], synced: readonly number[], scratch: string, bad: Map<string, string>): Promise<void> {
  const [copy, files] = [join(scratch, 'copy'), join(scratch, 'files')];
  for (const name of names) {
    rmSync(copy, { force: true });
    rmSync(files, { recursive: true, force: true });
    mkdirSync(files);
    await run('nbdcopy', [uriOf(server.socket, name), copy]);
    const why = (await e2fsck(copy, '-p', [0, 1])) ?? (await e2fsck(copy, '-fn', [0])) ?? (await missing(copy, files, synced, scratch));
    if (why !== undefined) bad.set(name, why);
  }
}

async function e2fsck(copy: string, mode: string, good: readonly number[]): Promise<string | undefined> {
  try {
    await run('e2fsck', [mode, copy]);
    return undefined;
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string };
    return good.includes(code ?? -1) ? undefined : `e2fsck ${mode} ends with ${code}: ${`${stdout} ${stderr}`.trim().split('\n').slice(-3).join(' ')}`;
  }
}

async function missing(copy: string, files: string, synced: readonly number[], scratch: string): Promise<string | undefined> {
  if (options.work === 'sqlite') return troubleWithRows(copy, files, synced.length);
  const commands = join(scratch, 'commands');
  writeFileSync(commands, synced.map((nr) => `dump /s${nr} ${join(files, String(nr))}\n`).join(''));
  await run('debugfs', ['-f', commands, copy]);
  for (const nr of synced) {
    const found = readIfThere(join(files, String(nr)));
    if (!found) return `file ${nr} is not there`;
    if (!found.equals(contentOf(nr))) return `file ${nr} holds something else`;
  }
  return undefined;
}

async function troubleWithRows(copy: string, files: string, rows: number): Promise<string | undefined> {
  for (const name of DATABASE_FILES) await run('debugfs', ['-R', `dump /${name} ${join(files, name)}`, copy]);
  return sqliteTrouble(files, rows);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** By a second Linux, which replays the log as it mounts. */
async function checkMounted(installed: InstalledLinux, fs: FileSystem, server: NbdProcess, names: readonly string[], synced: readonly number[], scratch: string, bad: Map<string, string>): Promise<void> {
  const disks = diskNames(names.length);
  const guest = startDiskGuest({ linux: installed, socket: server.socket, exports: names, script: checkScript(fs, disks, synced), scratch, name: 'check' });
  const results = new Map<string, string>();
  for await (const line of guest.lines) {
    const [, disk, result] = /^@@((?:sd|vd)\w) (.*)$/.exec(line.trim()) ?? [];
    if (disk !== undefined) results.set(disk, result!);
  }
  await guest.exited;
  names.forEach((name, i) => {
    const result = results.get(disks[i]!) ?? 'the guest did not come to it';
    if (result !== 'ok') bad.set(name, `mounted: ${result}`);
  });
}
