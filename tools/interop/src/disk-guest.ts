/** A real Linux in QEMU with disks over NBD: what it prints, line by line, while it runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type InstalledLinux, buildInitramfs, findLinux } from '@holdfast/capture';

/** Debian packages beside those that every guest needs. */
const NEEDED = ['/usr/sbin/mkfs.ext4', '/usr/sbin/e2fsck', '/usr/sbin/debugfs', '/usr/sbin/mkfs.xfs', '/usr/sbin/xfs_repair', '/usr/bin/sqlite3', '/usr/bin/nbdcopy'];
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'crc32c_generic', 'ext4', 'xfs'];

/** What a guest with disks needs of this machine, or what is missing. */
export function findDiskLinux(): InstalledLinux | string {
  const missing = NEEDED.find((tool) => !existsSync(tool));
  return missing === undefined ? findLinux() : `${missing} is not installed`;
}

export interface DiskGuest {
  /** Told each line that it prints, without carriage returns. */
  readonly lines: AsyncIterable<string>;
  kill(): void;
  readonly exited: Promise<unknown>;
}

export interface DiskGuestOptions {
  readonly linux: InstalledLinux;
  readonly socket: string;
  /** One is a virtio-blk disk, /dev/vda, as most guests have; several are SCSI disks. */
  readonly exports: readonly string[];
  readonly script: string;
  readonly scratch: string;
  readonly name: string;
}

/** What the guest calls its disks. */
export function diskNames(count: number): string[] {
  return count === 1 ? ['vda'] : Array.from({ length: count }, (_, i) => `sd${String.fromCharCode(97 + i)}`);
}

/** Boot it. Guest flushes reach the disk as they are: QEMU keeps nothing of its own. On a busy host the kernel's check of its timer fails, so it makes none. */
export function startDiskGuest({ linux, socket, exports, script, scratch, name }: DiskGuestOptions): DiskGuest {
  const initrd = join(scratch, `${name}.gz`);
  writeFileSync(initrd, buildInitramfs(linux, { script: `${MODULES.map((name) => `modprobe ${name}`).join('; ')}; mkdir /m; until [ -b /dev/${diskNames(exports.length).at(-1)!} ]; do sleep 1; done\n${script}` }));
  const disks = exports.flatMap((each, i) => [
    '-blockdev', JSON.stringify({ driver: 'raw', 'node-name': `d${i}`, cache: { direct: true, 'no-flush': false }, file: { driver: 'nbd', server: { type: 'unix', path: socket }, export: each } }),
    '-device', exports.length === 1 ? `virtio-blk-pci,drive=d${i}` : `scsi-hd,bus=scsi.0,lun=${i},drive=d${i}`,
  ]);
  const child: ChildProcess = spawn('qemu-system-x86_64', [
    '-accel', 'tcg', '-cpu', 'max,la57=off', '-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none', '-no-reboot', '-machine', 'pc', '-m', '512M',
    '-device', 'virtio-scsi-pci,id=scsi', ...disks,
    '-kernel', linux.kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 quiet loglevel=1 no_timer_check', '-serial', 'stdio',
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  return { lines: createInterface({ input: child.stdout! }), kill: () => child.kill('SIGKILL'), exited: once(child, 'exit') };
}
