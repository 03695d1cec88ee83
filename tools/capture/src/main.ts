/**
 * `node tools/capture/dist/main.js CASE… --out DIR [--texts] [--timeout SECONDS]`: boots each described case on the installed Linux in QEMU, and
 * writes what it says of its memory as cases of the golden comparison. A CASE is a folder with `case.json` (and `boot2/case.json`, …), or holds such.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseBootLog } from '@holdfast/cli';
import { type CaseDescription, readCase } from './describe-case.js';
import { type InstalledLinux, findLinux } from './installed-linux.js';
import { layoutOf } from './machine-media.js';
import { dumpMedia } from './media-dump.js';
import { buildProbe } from './probe-program.js';
import { type BootRecord, runBoot } from './run-boot.js';
import { writeCase } from './write-case.js';

const USAGE = 'usage: capture CASE… --out DIR [--texts] [--timeout SECONDS]';
const OPTIONS = { out: { type: 'string' }, texts: { type: 'boolean', default: false }, timeout: { type: 'string', default: '600' } } as const;

const { values: options, positionals: given } = readArgs();
const linux = findLinux();
if (typeof linux === 'string') fail(`${linux} (Debian: apt-get install qemu-system-x86 linux-image-amd64 ndctl daxctl busybox-static)`);
let unfinished = 0;
for (const directory of given.flatMap(caseFolders)) unfinished += await capture(directory, options.out!, linux);
process.exitCode = unfinished > 0 ? 1 : 0;

/** All boots of a case, on the same backing files. @returns how many boots did not come to the end of their script */
async function capture(directory: string, out: string, installed: InstalledLinux): Promise<number> {
  const boots = readCase(directory);
  const backing = mkdtempSync(join(tmpdir(), 'backing-'));
  try {
    const records: BootRecord[] = [];
    for (const [index, description] of boots.entries()) {
      for (const [name, size] of Object.entries(description.backing)) makeBacking(join(backing, name), size);
      const target = index === 0 ? join(out, boots[0]!.name) : join(out, boots[0]!.name, `boot${index + 1}`);
      records.push(await captureBoot(description, { installed, backing, target }));
    }
    return records.filter(({ finished }) => !finished).length;
  } finally {
    rmSync(backing, { recursive: true });
  }
}

interface Place {
  readonly installed: InstalledLinux;
  readonly backing: string;
  readonly target: string;
}

async function captureBoot(description: CaseDescription, { installed, backing, target }: Place): Promise<BootRecord> {
  mkdirSync(target, { recursive: true });
  const dump = (label: string, log: readonly string[]): void => {
    const { user, bios } = parseBootLog(log.join('\n')).e820;
    for (const [name, layout] of layoutOf(description, user.length > 0 ? user : bios)) {
      if (existsSync(join(backing, name))) writeFileSync(join(target, `media-${name}-${label}.txt`), dumpMedia(join(backing, name), layout));
    }
  };
  const started = performance.now();
  const record = await runBoot(description, {
    linux: installed, backing, timeoutMs: Number(options.timeout) * 1000, files: buildProbe(), dump,
  });
  dump('end', record.log);
  writeCase(target, description, record, options);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  process.stdout.write(`${record.finished ? 'ok' : 'UNFINISHED'} ${target} (${record.steps.length} steps, ${record.captures.size} captures, ${seconds} s)\n`);
  return record;
}

function makeBacking(path: string, sizeBytes: number): void {
  if (!existsSync(path)) writeFileSync(path, '');
  truncateSync(path, sizeBytes);
}

function caseFolders(directory: string): string[] {
  if (existsSync(join(directory, 'case.json'))) return [directory];
  const folders = existsSync(directory) ? readdirSync(directory).sort().map((name) => join(directory, name)).filter((path) => existsSync(join(path, 'case.json'))) : [];
  return folders.length > 0 ? folders : fail(`${directory}: no case.json there`);
}

function readArgs(): { values: { out?: string; texts: boolean; timeout: string }; positionals: string[] } {
  try {
    const read = parseArgs({ options: OPTIONS, allowPositionals: true });
    if (read.positionals.length === 0 || read.values.out === undefined || !(Number(read.values.timeout) > 0)) fail(USAGE);
    return read;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
}

function fail(message: string): never {
  process.stderr.write(`capture: ${message}\n`);
  process.exit(2);
}
