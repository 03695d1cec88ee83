/**
 * Real ndctl and daxctl print for an exported machine what the console's own print for the running one.
 * The exported /sys is bound over /sys in a private mount namespace, with /dev/daxR.N by its numbers, which libdaxctl stats.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BootCommandOptions, bootFromOptions, createCommandRunner, exportSysroot } from '@holdfast/cli';
import { afterAll, describe, expect, it } from 'vitest';

/** Binds $1 over /sys, makes an empty /dev with the character devices that it tells of, and runs what follows. */
const IN_SYSROOT = `
  mount --bind "$1/sys" /sys && mount -t tmpfs none /dev || exit 1
  for link in /sys/dev/char/*:*; do
    [ -L "$link" ] || continue
    number=\${link##*/} path=$(readlink "$link")
    mknod "/dev/\${path##*/}" c "\${number%:*}" "\${number#*:}" || exit 1
  done
  shift; exec "$@"`;

function inSysroot(root: string, ...command: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync('unshare', ['-m', 'sh', '-c', IN_SYSROOT, 'sh', root, ...command], { encoding: 'utf8' });
}

/** udevadm believes a /sys that is no sysfs when it is told to. */
function properties(root: string, path: string): string[] {
  const { stdout } = inSysroot(root, 'env', 'SYSTEMD_DEVICE_VERIFY_SYSFS=0', 'udevadm', 'info', '-q', 'property', '-p', path);
  return stdout.trim().split('\n');
}

/** Why this cannot be tested here; undefined if it can. */
function missing(): string | undefined {
  for (const tool of ['ndctl', 'daxctl']) {
    if (spawnSync(tool, ['--version']).status !== 0) return `${tool} is not installed (Debian: apt-get install ndctl daxctl)`;
  }
  const probe = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /dev && mknod /dev/probe c 1 3'], { encoding: 'utf8' });
  return probe.status === 0 ? undefined : `no right to a mount namespace with device nodes: ${(probe.stderr ?? String(probe.error)).trim()}`;
}

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-interop-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Machine {
  readonly name: string;
  readonly nvdimm: string[];
  readonly commands: string[];
}

const MODES = ['raw', 'fsdax', 'devdax', 'sector'];
const NEW_LABELS = ['ndctl disable-region all', 'ndctl init-labels all', 'ndctl enable-region all'];

const machines: Machine[] = [
  { name: 'no NVDIMM', nvdimm: [], commands: [] },
  { name: 'legacy pmem', nvdimm: ['size=256M'], commands: [] },
  ...MODES.map((mode) => ({ name: `legacy pmem, ${mode}`, nvdimm: ['size=256M'], commands: [`ndctl create-namespace -f -e namespace0.0 -m ${mode}`] })),
  { name: 'NVDIMM without labels', nvdimm: ['size=256M,label=128K'], commands: [] },
  ...MODES.map((mode) => ({ name: `labelled NVDIMM, ${mode}`, nvdimm: ['size=256M,label=128K'], commands: [...NEW_LABELS, `ndctl create-namespace -m ${mode}`] })),
  { name: 'a name, and room left', nvdimm: ['size=512M,label=128K'], commands: [...NEW_LABELS, 'ndctl create-namespace -m fsdax -M mem -s 128M -n data'] },
  { name: 'a disabled namespace', nvdimm: ['size=256M'], commands: ['ndctl disable-namespace namespace0.0'] },
  { name: 'two NVDIMMs, a namespace on each', nvdimm: ['size=256M,label=128K', 'size=256M,label=128K'], commands: [...NEW_LABELS, 'ndctl create-namespace -m devdax', 'ndctl create-namespace -m sector'] },
];
const why = missing();
if (why !== undefined) process.stderr.write(`sysroot.test.ts is skipped: ${why}\n`);

/** Boot, run what makes the machine, and say what the console prints for `lists`. */
async function listHere({ name, nvdimm, commands }: Machine, lists: readonly string[], target: string): Promise<string[]> {
  const options: BootCommandOptions = { memory: '1G', nvdimm };
  const system = await bootFromOptions(options);
  const { run, records } = createCommandRunner(system);
  for (const command of commands) {
    await run(command);
    expect(records.at(-1), `${name}: ${command}`).toMatchObject({ rc: 0 });
  }
  exportSysroot(system.root, target);
  for (const list of lists) await run(list);
  const printed = records.slice(-lists.length).map((record) => textOf('stdout' in record ? record.stdout : ''));
  system.close();
  return printed;
}

describe.skipIf(why !== undefined)('real tools on an exported machine', () => {
  const LISTS = ['ndctl list -BDRN', 'ndctl list -BDRNFXivu', 'daxctl list', 'daxctl list -RDMiu'];
  it.each(machines)('list the same as the console: $name', async (machine) => {
    const target = join(scratch, machine.name);
    const ours = await listHere(machine, LISTS, target);
    for (const [index, list] of LISTS.entries()) {
      const real = inSysroot(target, ...list.split(' '));
      expect({ list, status: real.status, stderr: real.stderr }).toEqual({ list, status: 0, stderr: '' });
      expect(parse(ours[index]!), list).toEqual(parse(real.stdout));
      if (machine.nvdimm.length > 0 && list.startsWith('ndctl')) expect(real.stdout).toContain('region0');
    }
  });
});

const hasUdevadm = spawnSync('udevadm', ['--version']).status === 0;

it.skipIf(why !== undefined || !hasUdevadm)('udevadm finds devices by their uevents', async () => {
  const target = join(scratch, 'udev');
  await listHere({ name: 'udev', nvdimm: ['size=256M'], commands: ['ndctl create-namespace -f -e namespace0.0 -m sector'] }, [], target);
  const home = '/devices/platform/e820_pmem/ndbus0/region0';
  expect(properties(target, '/sys/class/block/pmem0s')).toEqual([
    `DEVPATH=${home}/btt0.0/block/pmem0s`, 'DEVNAME=/dev/pmem0s', 'DEVTYPE=disk', 'DISKSEQ=3', 'MAJOR=259', 'MINOR=0', 'SUBSYSTEM=block',
  ]);
  expect(properties(target, '/sys/bus/nd/devices/region0')).toEqual([`DEVPATH=${home}`, 'DEVTYPE=nd_pmem', 'DRIVER=nd_region', 'MODALIAS=nd:t2', 'SUBSYSTEM=nd']);
  expect(properties(target, '/sys/devices/system/memory/memory3')).toEqual(['DEVPATH=/devices/system/memory/memory3', 'SUBSYSTEM=memory']);
});

/** The runner has read JSON already. */
function textOf(stdout: string | object): string {
  return typeof stdout === 'string' ? stdout : JSON.stringify(stdout);
}

/** What was printed, siblings by name: sysfs lists them by a hash of the name, and a directory on disk in another order. */
function parse(text: string): unknown {
  return text.trim() === '' ? undefined : JSON.parse(text, (_, value: unknown) => (Array.isArray(value) ? (value as Listed[]).sort((a, b) => compare(nameOf(a), nameOf(b))) : value));
}

interface Listed {
  readonly dev?: string;
  readonly chardev?: string;
  readonly path?: string;
}

function nameOf(value: Listed): string {
  return value.dev ?? value.chardev ?? value.path ?? '';
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
