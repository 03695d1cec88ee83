/**
 * Programs of Debian's that are driven against the server, where they are installed.
 */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

const PACKAGES: Readonly<Record<string, string>> = {
  nbdinfo: 'libnbd-bin', nbdcopy: 'libnbd-bin', nbdfuse: 'nbdfuse', 'qemu-img': 'qemu-utils', 'qemu-io': 'qemu-utils', fio: 'fio',
  'mkfs.ext4': 'e2fsprogs', e2fsck: 'e2fsprogs', debugfs: 'e2fsprogs', fuse2fs: 'fuse2fs', fusermount3: 'fuse3', nbdkit: 'nbdkit', sqlite3: 'sqlite3',
  certtool: 'gnutls-bin', openssl: 'openssl', strace: 'strace', 'nbd-client': 'nbd-client',
};

/** For a test's name: nothing, or which packages are missing. Give it to `skipIf` as well. */
export function missing(...programs: readonly string[]): string {
  const absent = programs.filter((program) => spawnSync('which', [program]).status !== 0);
  return absent.length === 0 ? '' : ` (skipped: no ${absent.join(', ')}; Debian: ${[...new Set(absent.map((program) => PACKAGES[program]))].join(' ')})`;
}

/** Run a program to its end. @returns its output @throws with what it printed, if its status is not 0 */
export async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return stdout;
}
