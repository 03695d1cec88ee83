/** An initramfs of the machine's own installed packages: busybox, ndctl with its libraries, the modules of libnvdimm, and an init. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** In the order in which they are loaded. */
const MODULES = ['nvdimm/libnvdimm', 'nvdimm/nd_btt', 'nvdimm/nd_pmem', 'dax/device_dax', 'dax/dax_pmem', 'acpi/nfit/nfit', 'nvdimm/nd_e820'];
const TOOLS = ['/usr/bin/ndctl', '/usr/bin/daxctl'];
const DIRECTORY = 0o40755;
const PROGRAM = 0o100755;

export interface InstalledLinux {
  readonly kernel: string;
  readonly modules: string;
}

/** What the tool needs of the machine, or which Debian package is missing. */
export function findLinux(): InstalledLinux | string {
  if (!existsSync('/usr/bin/qemu-system-x86_64')) return 'qemu-system-x86 is not installed';
  if (!existsSync('/bin/busybox')) return 'busybox-static is not installed';
  if (!TOOLS.every((tool) => existsSync(tool))) return 'ndctl or daxctl is not installed';
  const releases = existsSync('/lib/modules') ? readdirSync('/lib/modules') : [];
  const release = releases.find((each) => existsSync(`/boot/vmlinuz-${each}`) && existsSync(modulePath(`/lib/modules/${each}`, MODULES[0]!)));
  return release === undefined ? 'linux-image-amd64 is not installed' : { kernel: `/boot/vmlinuz-${release}`, modules: `/lib/modules/${release}` };
}

/** A gzipped cpio archive whose init mounts the trees, loads the modules, runs `script` with busybox's sh, and powers off. */
export function buildInitramfs({ modules }: InstalledLinux, script: string): Buffer {
  const files = new Map<string, Buffer>([['bin/busybox', readFileSync('/bin/busybox')], ['init', Buffer.from(initScript(script))]]);
  for (const path of [...TOOLS, ...libraries()]) files.set(path.slice(1), readFileSync(path));
  for (const module of MODULES) files.set(`modules/${basename(module)}.ko`, readFileSync(modulePath(modules, module)));
  const folders = new Set(['proc', 'sys', 'dev', 'tmp']);
  for (const path of files.keys()) for (let at = dirname(path); at !== '.'; at = dirname(at)) folders.add(at);
  const entries = [...[...folders].sort().map((path) => cpioEntry(path, DIRECTORY, Buffer.alloc(0))), ...[...files].map(([path, data]) => cpioEntry(path, PROGRAM, data))];
  return gzipSync(Buffer.concat([...entries, cpioEntry('TRAILER!!!', 0, Buffer.alloc(0))]), { level: 1 });
}

function initScript(script: string): string {
  return `#!/bin/busybox sh
export PATH=/usr/bin:/bin
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
${MODULES.map((module) => `insmod /modules/${basename(module)}.ko`).join('\n')}
ndctl wait-scrub >/dev/null 2>&1; sleep 1
${script}
sync
poweroff -f
`;
}

function modulePath(modules: string, name: string): string {
  return join(modules, 'kernel/drivers', `${name}.ko`);
}

/** The shared libraries and the loader, as `ldd` names them. */
function libraries(): Set<string> {
  return new Set(TOOLS.flatMap((tool) => [...execFileSync('ldd', [tool], { encoding: 'utf8' }).matchAll(/\/\S+/g)].map(([path]) => path)));
}

/** One entry of the "newc" format. */
function cpioEntry(path: string, mode: number, data: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(data)]);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}
