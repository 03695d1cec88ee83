/** A disk of a server as a file, for the programs of this machine that look at file systems. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CrashWork } from './crash-work.js';
import { EXTRACT } from './extract-files.js';
import { CHECK, type FileSystem } from './file-systems.js';

const run = promisify(execFile);

/** One file for one disk after the other. */
export interface DiskCopy {
  readonly path: string;
  /** Copy a disk, holes as holes. */
  take(uri: string): Promise<void>;
  /** As e2fsck does at boot: replay ext4's journal. @returns what is wrong, undefined if nothing is */
  replayExt4(): Promise<string | undefined>;
  /** Let the file system's checker look at all of it, and compare its files with what was promised. @returns what is wrong, undefined if nothing is */
  check(fs: FileSystem, work: CrashWork, synced: readonly number[]): Promise<string | undefined>;
}

/** @param folder is made */
export function createDiskCopy(folder: string): DiskCopy {
  const [path, files] = [join(folder, 'disk'), join(folder, 'files')];
  mkdirSync(folder);
  return {
    path,
    async take(uri) {
      await run('nbdcopy', ['--connections=1', '--threads=1', '--requests=4', uri, path]); // a few megabytes: more threads take longer to start
    },
    replayExt4: () => trouble(['/usr/sbin/e2fsck', '-p', path], [0, 1]), // 1: something was repaired, such as a journal that was not empty
    async check(fs, work, synced) {
      const found = await trouble([...CHECK[fs], path], [0]);
      if (found !== undefined) return found;
      rmSync(files, { recursive: true, force: true });
      mkdirSync(files);
      await EXTRACT[fs](path, work.files(synced), files);
      return work.trouble(files, synced);
    },
  };
}

async function trouble([program, ...args]: readonly string[], good: readonly number[]): Promise<string | undefined> {
  try {
    await run(program!, args, { maxBuffer: 2 ** 26 });
    return undefined;
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string };
    return good.includes(code ?? -1)
      ? undefined
      : `${[program, ...args.slice(0, -1)].join(' ')} ends with ${code}: ${`${stdout} ${stderr}`.trim().split('\n').slice(-3).join(' ')}`;
  }
}
