/** The Linux that is installed on this machine: a kernel to boot, its modules, and the programs that its guests run. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CpioFile } from './cpio.js';

/** Loaded before a guest's script, in this order. */
export const BOOT_MODULES = ['libnvdimm', 'nd_pmem', 'nd_btt', 'nd_e820', 'nfit', 'dax_pmem', 'device_dax', 'dax_hmem'];
/** There for a script, or a tool, that loads them. */
const OTHER_MODULES = [
  'kmem', 'ext4', 'xfs', 'crc32c_generic', 'crc32c-intel', 'virtio_pci', 'virtio_mem', 'virtio_pmem', 'nd_virtio', 'virtio_blk', 'virtio_scsi',
  'sd_mod',
];

const NEEDED_TOOLS = ['/usr/bin/ndctl', '/usr/bin/daxctl'];
/** Taken along where they are installed. */
const OTHER_TOOLS = [
  '/usr/sbin/mkfs.ext4',
  '/usr/sbin/mkfs.ext2',
  '/usr/sbin/mkfs.xfs',
  '/usr/sbin/xfs_io',
  '/usr/sbin/e2fsck',
  '/usr/sbin/xfs_repair',
  '/usr/bin/sqlite3',
];
const SETTINGS = ['/etc/mke2fs.conf'];

export interface InstalledLinux {
  /** The bzImage. */
  readonly kernel: string;
  /** As `uname -r` says it. */
  readonly release: string;
  /** Where its modules and their indexes lie. */
  readonly modules: string;
}

/** What the tools need of the machine, or which Debian package is missing. */
export function findLinux(): InstalledLinux | string {
  if (!existsSync('/usr/bin/qemu-system-x86_64')) return 'qemu-system-x86 is not installed';
  if (!existsSync('/bin/busybox')) return 'busybox-static is not installed';
  if (!NEEDED_TOOLS.every((tool) => existsSync(tool))) return 'ndctl or daxctl is not installed';
  const releases = existsSync('/lib/modules') ? readdirSync('/lib/modules') : [];
  const release = releases.find((each) => existsSync(`/boot/vmlinuz-${each}`) && existsSync(`/lib/modules/${each}/modules.dep`));
  return release === undefined ? 'linux-image-amd64 is not installed' : { kernel: `/boot/vmlinuz-${release}`, release, modules: `/lib/modules/${release}` };
}

/** Busybox, and the tools with the libraries and the loader that `ldd` names. */
export function toolFiles(): Map<string, CpioFile> {
  const tools = [...NEEDED_TOOLS, ...OTHER_TOOLS.filter((tool) => existsSync(tool))];
  const files = new Map<string, CpioFile>([['bin/busybox', readFileSync('/bin/busybox')]]);
  const libraries = tools.flatMap((tool) => [...execFileSync('ldd', [tool], { encoding: 'utf8' }).matchAll(/\/\S+/g)].map(([path]) => path));
  for (const path of [...tools, ...libraries, ...SETTINGS.filter((name) => existsSync(name))]) files.set(path.slice(1), readFileSync(realpathSync(path)));
  return files;
}

/** The modules with all that they depend on, at their places, and the indexes that find them. */
export function moduleFiles({ modules, release }: InstalledLinux): Map<string, CpioFile> {
  const needs = new Map(readFileSync(join(modules, 'modules.dep'), 'utf8').split('\n').filter((line) => line !== '').map((line): [string, string[]] => {
    const [path = '', others = ''] = line.split(':');
    return [path, others.split(' ').filter((other) => other !== '')];
  }));
  const byName = new Map([...needs.keys()].map((path) => [moduleName(basename(path)), path]));
  const wanted = new Set([...BOOT_MODULES, ...OTHER_MODULES].flatMap((name) => {
    const path = byName.get(moduleName(name));
    return path === undefined ? [] : [path, ...needs.get(path)!]; // what is built into the kernel has no file
  }));
  const names = [...wanted, 'modules.dep', 'modules.dep.bin', 'modules.softdep', 'modules.builtin', 'modules.builtin.bin'];
  return new Map(names.map((name) => [`lib/modules/${release}/${name}`, readFileSync(join(modules, name))]));
}

function moduleName(file: string): string {
  return file.replace(/\.ko(?:\.[a-z]+)?$/, '').replaceAll('-', '_');
}
