/**
 * `node tools/interop/dist/main.js`: a real Linux in QEMU on images that Holdfast made, and Holdfast on what that Linux made:
 * the same namespaces, and the data that the other side wrote. Prints a line for each check; status 1 if one fails.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type InstalledLinux, findLinux } from '@holdfast/capture';
import { bootFromOptions, createCommandRunner } from '@holdfast/cli';
import { toolCommand } from '@holdfast/command-line';
import { type GuestDimm, runGuest } from './guest.js';

interface Namespace {
  readonly dev: string;
  readonly mode: string;
  readonly map?: string;
  readonly size: number;
  readonly uuid?: string;
  readonly sector_size?: number;
  readonly align?: number;
  readonly blockdev?: string;
}

interface Image extends GuestDimm {
  readonly name: string;
  readonly mode: string;
  readonly seed: number;
}

const MODES = ['raw', 'fsdax', 'devdax', 'sector'];
const MEDIA_BYTES = 64 * 2 ** 20;
const LABEL_BYTES = 128 * 2 ** 10;
const BLOCK = 4096;
/** Blocks of 4 KiB that Holdfast writes; Linux writes the ones behind them. */
const BLOCKS = [0, 100, 10_000];
const NEW_LABELS = ['ndctl disable-region all', 'ndctl init-labels -f all', 'ndctl enable-region all'];

toolCommand('interop', 'Lets a real Linux read images that Holdfast made, and Holdfast those that Linux made.').parse();
let failures = 0;
const linux = findLinux();
if (typeof linux === 'string') {
  process.stdout.write(`interop: skipped: ${linux} (Debian: apt-get install qemu-system-x86 linux-image-amd64 ndctl daxctl busybox-static)\n`);
} else {
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-interop-'));
  try {
    await linuxReadsUs(linux, scratch);
    await weReadLinux(linux, scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  process.stdout.write(failures === 0 ? 'interop: all the same\n' : `interop: ${failures} differences\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}

/** Each mode, labelled and not: made and written here, listed, read and written there, read here. */
async function linuxReadsUs(installed: InstalledLinux, scratch: string): Promise<void> {
  const images = [LABEL_BYTES, 0].flatMap((labelBytes) => MODES.map((mode): Image => {
    const name = `${mode}, ${labelBytes > 0 ? 'labelled' : 'without labels'}`;
    return { name, mode, labelBytes, image: join(scratch, `${mode}-${labelBytes}`), seed: MODES.indexOf(mode) + 1 + (labelBytes > 0 ? 10 : 0) };
  }));
  const labelled = images.filter(({ labelBytes }) => labelBytes > 0);
  const machines = [labelled, ...images.filter(({ labelBytes }) => labelBytes === 0).map((image) => [image])];
  const made = new Map<Image, Namespace>();
  for (const machine of machines) {
    await onHoldfast(machine, async (run) => {
      if (machine === labelled) for (const command of NEW_LABELS) await run(command);
      for (const [slot, image] of machine.entries()) {
        const where = machine === labelled ? `-r region${slot}` : '-e namespace0.0';
        await run(`ndctl create-namespace -f -m ${image.mode} ${where}`);
        const ours = (await listed(run)).find(({ dev }) => dev.startsWith(`namespace${slot}.`))!;
        made.set(image, ours);
        for (const block of ours.blockdev === undefined ? [] : BLOCKS) {
          await run(`echo '${blockText('holdfast', block).trimEnd()}' | dd of=/dev/${ours.blockdev} bs=${BLOCK} seek=${block} conv=notrunc,fsync`);
        }
      }
    });
  }
  const output = runGuest(installed, images, `ndctl list\necho '@@data'\n${readScript('holdfast', BLOCKS)}\n${writeScript()}`, scratch);
  const theirs = namespacesIn(output);
  for (const image of images) {
    const ours = made.get(image)!;
    const real = theirs.find(({ uuid }) => uuid === ours.uuid);
    check(`Linux lists ours: ${image.name}`, comparable(real), onNfit(image, comparable(ours)));
    if (ours.blockdev !== undefined) check(`Linux reads ours: ${image.name}`, output.filter((line) => line === `${real?.blockdev} same`).length, BLOCKS.length);
  }
  for (const machine of machines) {
    await onHoldfast(machine, async (run) => {
      const now = await listed(run);
      for (const image of machine) {
        const ours = made.get(image)!;
        const again = now.find(({ uuid }) => uuid === ours.uuid);
        check(`we list the same after it: ${image.name}`, comparable(again), comparable(ours));
        const real = theirs.find(({ uuid }) => uuid === ours.uuid);
        if (again?.blockdev !== undefined) check(`we read what Linux wrote: ${image.name}`, await readBack(run, again.blockdev, real?.blockdev), 'same');
      }
    });
  }
}

/** Each mode on blank NVDIMMs: labels, namespace and data made there, listed and read here. */
async function weReadLinux(installed: InstalledLinux, scratch: string): Promise<void> {
  const images = MODES.map((mode): Image => ({ name: mode, mode, labelBytes: LABEL_BYTES, image: join(scratch, `linux-${mode}`), seed: 1 }));
  for (const { image } of images) {
    writeFileSync(image, '');
    truncateSync(image, MEDIA_BYTES + LABEL_BYTES);
  }
  const create = [...NEW_LABELS, ...MODES.map((mode) => `ndctl create-namespace -m ${mode}`)].map(
    (command) => `${command} >/dev/null 2>&1 || echo 'failed: ${command}'`,
  );
  const output = runGuest(installed, images, `${create.join('\n')}\nndctl list\necho '@@data'\n${writeScript()}`, scratch);
  const theirs = namespacesIn(output);
  check('Linux made a namespace of each mode', theirs.map(({ mode }) => mode).sort(), [...MODES].sort());
  await onHoldfast(images, async (run) => {
    const listing = await listed(run);
    for (const real of theirs) {
      const ours = listing.find(({ uuid }) => uuid === real.uuid);
      check(`we list Linux's: ${real.mode}`, comparable(ours), comparable(real));
      if (ours?.blockdev !== undefined) check(`we read Linux's: ${real.mode}`, await readBack(run, ours.blockdev, real.blockdev), 'same');
    }
  });
}

/** Runs a command and gives what it printed. @throws Error if it fails */
type Run = (command: string) => Promise<string>;

/** Boots a machine with these DIMMs, in QEMU's slots: the serial numbers, and by them the labels' cookies, go by the slot. */
async function onHoldfast(images: readonly Image[], work: (run: Run) => Promise<void>): Promise<void> {
  const nvdimm = images.map(({ image, labelBytes }) => `size=${MEDIA_BYTES}${labelBytes > 0 ? `,label=${labelBytes}` : ''},image=${image}`);
  const system = await bootFromOptions({ memory: '1G', nvdimm, seed: String(images[0]!.seed) });
  const { run, records } = createCommandRunner(system);
  await work(async (command) => {
    await run(command);
    const record = records.at(-1)!;
    if (!('stdout' in record) || record.rc !== 0) throw new Error(`${command}: ${JSON.stringify(record)}`);
    return typeof record.stdout === 'string' ? record.stdout : JSON.stringify(record.stdout);
  });
  system.close();
}

async function listed(run: Run): Promise<Namespace[]> {
  return JSON.parse(await run('ndctl list')) as Namespace[];
}

/** Whether the blocks behind ours are what Linux wrote as its disk `theirName`. */
async function readBack(run: Run, blockdev: string, theirName = 'nothing'): Promise<string> {
  for (const block of BLOCKS.map((each) => each + 1)) {
    const text = await run(`dd if=/dev/${blockdev} bs=${BLOCK} skip=${block} count=1`);
    if (text.trimEnd() !== blockText(`linux ${theirName}`, block).trimEnd()) return `block ${block}: ${text.slice(0, 40)}`;
  }
  return 'same';
}

/** A block of text: who wrote it and where, filled up with x, and a newline. */
function blockText(writer: string, block: number): string {
  return `${`${writer} wrote block ${block} `.padEnd(BLOCK - 1, 'x')}\n`;
}

/** Sh: prints `DISK same` for each block that holds what `writer` wrote. */
function readScript(writer: string, blocks: readonly number[]): string {
  return `for d in /dev/pmem*; do for n in ${blocks.join(' ')}; do
  { printf '%s' "${writer} wrote block $n "; head -c ${BLOCK} /dev/zero | tr '\\0' x; } | head -c ${BLOCK - 1} >/tmp/want; echo >>/tmp/want
  dd if=$d bs=${BLOCK} skip=$n count=1 2>/dev/null | cmp -s - /tmp/want && echo "\${d##*/} same" || echo "\${d##*/} differs at $n"
done; done`;
}

/** Sh: writes the blocks behind ours on each disk. */
function writeScript(): string {
  return `for d in /dev/pmem*; do for n in ${BLOCKS.map((block) => block + 1).join(' ')}; do
  { printf '%s' "linux \${d##*/} wrote block $n "; head -c ${BLOCK} /dev/zero | tr '\\0' x; } | head -c ${BLOCK - 1} >/tmp/new; echo >>/tmp/new
  dd if=/tmp/new of=$d bs=${BLOCK} seek=$n conv=notrunc,fsync 2>/dev/null || echo "$d: cannot write"
done; done`;
}

function namespacesIn(output: readonly string[]): Namespace[] {
  const text = output.slice(0, output.indexOf('@@data'));
  for (const line of text.filter((each) => each.startsWith('failed'))) check(line, 'failed', 'done');
  return JSON.parse(text.filter((each) => !each.startsWith('failed')).join('\n')) as Namespace[];
}

/** Without the numbers that depend on the DIMM's place. */
function comparable(namespace: Namespace | undefined): object {
  const { mode, map, size, uuid, sector_size, align } = namespace ?? {};
  return { mode, map, size, uuid, sector_size, align };
}

/** QEMU has no legacy pmem: without labels our e820 bus calls what has no info block fsdax, and its NFIT bus raw. */
function onNfit({ mode, labelBytes }: Image, ours: object): object {
  return mode === 'raw' && labelBytes === 0 ? { ...ours, mode: 'raw', map: undefined } : ours;
}

function check(what: string, found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) failures++;
  process.stdout.write(a === b ? `ok ${what}\n` : `DIFFERS ${what}\n  found  ${a}\n  wanted ${b}\n`);
}
