/**
 * A Linux in QEMU that mounts what is in one file, over and over: mounting replays the journal into the file. Each time the file holds another
 * disk; one boot serves thousands, and the guest has nothing else to do, because emulation is slow.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type InstalledLinux, buildInitramfs } from '@holdfast/capture';
import { EMULATOR, KERNEL_OPTIONS, PREPARE } from './crash-guest.js';
import type { FileSystem } from './file-systems.js';
import { spawnOwned } from './spawn-owned.js';

export interface ReplayLinux {
  /** Mount the file system that is in the file now, and unmount it. @returns what is wrong; undefined if nothing is */
  replay(): Promise<string | undefined>;
  stop(): Promise<void>;
}

/**
 * @param file there already, with the size that it keeps
 * @returns once it is up
 * @throws Error with its console if it does not come up
 */
export async function startReplayLinux(linux: InstalledLinux, fs: FileSystem, file: string, scratch: string): Promise<ReplayLinux> {
  const initrd = join(scratch, 'initrd.gz');
  writeFileSync(initrd, buildInitramfs(linux, {
    script: `${PREPARE}
echo '@@ready'
while read go; do
  if mount -t ${fs} /dev/vda /m 2>/tmp/log && umount /m 2>/tmp/log; then echo '@@replayed'; else echo "@@replayed $(tail -n 1 /tmp/log)"; fi
done`,
  }));
  // Others write the file while the guest has nothing mounted: what QEMU reads is what is in it, and its lock is not taken.
  const disk = { driver: 'raw', 'node-name': 'disk', file: { driver: 'file', filename: file, locking: 'off' } };
  const child: ChildProcess = spawnOwned('qemu-system-x86_64', [
    ...EMULATOR, '-blockdev', JSON.stringify(disk), '-device', 'virtio-blk-pci,drive=disk', '-kernel', linux.kernel, '-initrd', initrd, '-append',
    KERNEL_OPTIONS,
  ], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  child.stdin!.on('error', () => {}); // it may be gone before it has read all
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const heard = async (start: string): Promise<string> => {
    const console: string[] = [];
    for (let next = await lines.next(); !next.done; next = await lines.next()) {
      const line = next.value.trim();
      if (line.startsWith(start)) return line.slice(start.length).trim();
      console.push(line);
    }
    throw new Error(`a guest that replays journals has ended:\n${console.slice(-20).join('\n')}`);
  };
  await heard('@@ready');
  return {
    async replay() {
      child.stdin!.write('go\n');
      const trouble = await heard('@@replayed');
      return trouble === '' ? undefined : trouble;
    },
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
