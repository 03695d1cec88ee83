/** A real Linux in QEMU that works on a file system of a disk over NBD until the power goes. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type InstalledLinux, buildInitramfs, findLinux } from '@holdfast/capture';
import { type CrashWork, SYNCED } from './crash-work.js';
import { type FileSystem, MAKE } from './file-systems.js';
import type { NbdProcess } from './nbd-process.js';
import { SETPRIV, spawnOwned } from './spawn-owned.js';

/** Programs of Debian's beside those that every guest needs. */
const NEEDED = [
  '/usr/sbin/mkfs.ext4',
  '/usr/sbin/e2fsck',
  '/usr/sbin/debugfs',
  '/usr/sbin/mkfs.xfs',
  '/usr/sbin/xfs_repair',
  '/usr/bin/sqlite3',
  '/usr/bin/nbdcopy',
  SETPRIV,
];
const MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4', 'xfs'];

/** QEMU's options for a small PC with a console on its standard input and output. */
export const EMULATOR = [
  '-accel', 'tcg', '-cpu', 'max,la57=off', '-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none', '-no-reboot', '-machine', 'pc', '-m',
  '512M', '-serial', 'stdio',
];
/** On a busy host the kernel's check of its timer fails, so it makes none. */
export const KERNEL_OPTIONS = 'console=ttyS0 panic=-1 quiet loglevel=1 no_timer_check';
/** Sh: what is needed for file systems on /dev/vda, mounted at /m. */
export const PREPARE = `stty -echo; mkdir /m; for m in ${MODULES.join(' ')}; do modprobe $m; done`;

/** What it needs of this machine, or what is missing. */
export function findDiskLinux(): InstalledLinux | string {
  const missing = NEEDED.find((tool) => !existsSync(tool));
  return missing === undefined ? findLinux() : `${missing} is not installed`;
}

export interface CrashOptions {
  readonly linux: InstalledLinux;
  readonly server: NbdProcess;
  /** The name of its disk. */
  readonly exported: string;
  readonly fs: FileSystem;
  readonly work: CrashWork;
  /** The power goes when the disk has carried out so many requests of the work. */
  readonly after: number;
  readonly seed: number;
  readonly scratch: string;
}

/** Let it work until the power goes. @returns what was promised to last by then @throws Error with its console if it came to an end before */
export async function workUntilCut({ linux, server, exported, fs, work, after, seed, scratch }: CrashOptions): Promise<number[]> {
  const initrd = join(scratch, 'work.gz');
  writeFileSync(initrd, buildInitramfs(linux, { script: script(fs, work) }));
  const guest = startGuest(linux, initrd, server.port, exported);
  const exited = once(guest, 'exit');
  const synced: number[] = [];
  const console: string[] = [];
  try {
    for await (const raw of createInterface({ input: guest.stdout! })) {
      const line = raw.trim();
      console.push(line);
      if (line === '@@mounted') {
        await server.ctl('powercut', '--after', String(after), '--keep', 'none', '--seed', String(seed));
        guest.stdin!.write('go\n');
      }
      const nr = SYNCED.exec(line)?.[1];
      if (nr !== undefined) synced.push(Number(nr));
      if (line === '@@over') break;
    }
  } finally {
    guest.kill('SIGKILL');
    await exited;
  }
  const { power } = (await server.ctl('status')) as { power: string };
  if (power !== 'off') throw new Error(`the guest stopped after ${synced.length} ${work.unit}, and the power is on:\n${console.slice(-20).join('\n')}`);
  return synced;
}

/** Its flushes reach the disk as they are: QEMU keeps nothing of its own. */
function startGuest({ kernel }: InstalledLinux, initrd: string, port: number, exported: string): ChildProcess {
  const disk = {
    driver: 'raw',
    'node-name': 'disk',
    cache: { direct: true, 'no-flush': false },
    file: { driver: 'nbd', server: { type: 'inet', host: '127.0.0.1', port: String(port) }, export: exported },
  };
  return spawnOwned('qemu-system-x86_64', [
    ...EMULATOR, '-blockdev', JSON.stringify(disk), '-device', 'virtio-blk-pci,drive=disk', '-kernel', kernel, '-initrd', initrd, '-append', KERNEL_OPTIONS,
  ], { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Writeback is made to come often, so that a cut finds more under way than what fsync waits for. */
function script(fs: FileSystem, work: CrashWork): string {
  return `${PREPARE}
${MAKE[fs]} /dev/vda && mount -t ${fs} /dev/vda /m && sync || poweroff -f
echo 5 >/proc/sys/vm/dirty_writeback_centisecs; echo 5 >/proc/sys/vm/dirty_expire_centisecs
echo '@@mounted'; read go
${work.script}
echo '@@over'
sleep 1000`;
}
