/** Files out of a file system in an image, by the debuggers of its authors: no mount, no rights. */
import { execFile } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FileSystem } from './file-systems.js';

const run = promisify(execFile);
const MAX_OUTPUT = 2 ** 26;

/** Copies those of `names` that are in the root of the file system in `image` to `folder`, which has a path without spaces. */
export const EXTRACT: Readonly<Record<FileSystem, (image: string, names: readonly string[], folder: string) => Promise<void>>> = {
  ext4: extractExt4,
  xfs: extractXfs,
};

async function extractExt4(image: string, names: readonly string[], folder: string): Promise<void> {
  const commands = join(folder, 'commands');
  writeFileSync(commands, names.map((name) => `dump /${name} ${join(folder, name)}\n`).join(''));
  await run('/usr/sbin/debugfs', ['-f', commands, image], { maxBuffer: MAX_OUTPUT });
}

/** xfs_db tells sizes and extents; the bytes are read here. */
async function extractXfs(image: string, names: readonly string[], folder: string): Promise<void> {
  const commands = ['sb 0', 'print blocksize agblocks', ...names.flatMap((name) => [`echo @@${name}`, `path /${name}`, 'print core.size', 'bmap'])];
  const { stdout } = await run('/usr/sbin/xfs_db', ['-r', '-f', ...commands.flatMap((command) => ['-c', command]), image], { maxBuffer: MAX_OUTPUT })
    .catch((error: unknown) => error as { stdout: string }); // its status is that of the worst command; a file may be missing
  const [superblock, ...files] = stdout.split(/^@@/m);
  const [, blockSize, agBlocks] = /blocksize = (\d+)\nagblocks = (\d+)/.exec(superblock!)!.map(Number);
  const disk = openSync(image, 'r');
  try {
    for (const [i, told] of files.entries()) {
      if (/No such file or directory/.test(told)) continue; // what follows is the file before
      const bytes = Buffer.alloc(Number(/core\.size = (\d+)/.exec(told)![1]));
      for (const [, ...numbers] of told.matchAll(/offset (\d+) startblock \d+ \((\d+)\/(\d+)\) count (\d+) flag (\d)/g)) {
        const [offset, group, block, count, unwritten] = numbers.map(Number) as [number, number, number, number, number];
        const length = Math.min(count * blockSize!, bytes.length - offset * blockSize!);
        if (unwritten === 0 && length > 0) readSync(disk, bytes, offset * blockSize!, length, (group * agBlocks! + block) * blockSize!);
      }
      writeFileSync(join(folder, names[i]!), bytes);
    }
  } finally {
    closeSync(disk);
  }
}
