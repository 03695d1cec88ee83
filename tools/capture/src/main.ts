/**
 * `node tools/capture/dist/main.js CASE… --out DIR [--texts] [--timeout SECONDS]`: boots each described case on the installed Linux in QEMU, and
 * writes what it says of its memory as cases of the golden comparison. A CASE is a folder with `case.json` (and `boot2/case.json`, …), or holds such.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBootLog } from '@holdfast/cli';
import { positiveNumber, toolCommand } from '@holdfast/command-line';
import { type CaseDescription, readCase } from './describe-case.js';
import { type InstalledLinux, findLinux } from './installed-linux.js';
import { layoutOf } from './machine-media.js';
import { dumpMedia } from './media-dump.js';
import { buildProbe } from './probe-program.js';
import { type BootRecord, runBoot } from './run-boot.js';
import { writeCase } from './write-case.js';

interface Options {
  readonly out: string;
  readonly texts?: boolean;
  readonly timeout: number;
}

const command = toolCommand('capture', "Boots Debian's kernel in QEMU on described machines, and writes down what it says, for golden.")
  .argument('<case...>', 'folders with a case.json, or folders of such')
  .requiredOption('--out <dir>', 'where the captures go')
  .option('--texts', 'keep the texts that the facts were read from, too')
  .option('--timeout <seconds>', 'seconds after which a guest is ended', positiveNumber, 600)
  .parse();
const options = command.opts<Options>();
const linux = findLinux();
if (typeof linux === 'string') fail(`${linux} (Debian: apt-get install qemu-system-x86 linux-image-amd64 ndctl daxctl busybox-static)`);
let unfinished = 0;
for (const directory of command.args.flatMap(caseFolders)) unfinished += await capture(directory, options.out, linux);
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
    linux: installed, backing, timeoutMs: options.timeout * 1000, files: buildProbe(), dump,
  });
  dump('end', record.log);
  writeCase(target, description, record, { texts: options.texts ?? false });
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
  const folders = existsSync(directory)
    ? readdirSync(directory)
        .sort()
        .map((name) => join(directory, name))
        .filter((path) => existsSync(join(path, 'case.json')))
    : [];
  return folders.length > 0 ? folders : fail(`${directory}: no case.json there`);
}

function fail(message: string): never {
  process.stderr.write(`capture: ${message}\n`);
  process.exit(2);
}
