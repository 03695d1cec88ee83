/** Looks at what a cut may have left of a file system, several disks at a time. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { InstalledLinux } from '@holdfast/capture';
import type { CrashWork } from './crash-work.js';
import { createDiskCopy } from './disk-copy.js';
import type { FileSystem } from './file-systems.js';
import { startReplayLinux } from './replay-linux.js';

export interface LookOptions {
  readonly linux: InstalledLinux;
  readonly fs: FileSystem;
  readonly work: CrashWork;
  /** What was promised to last. */
  readonly synced: readonly number[];
  readonly uriOf: (name: string) => string;
  readonly scratch: string;
  /** Called after each disk, with how many there are so far: thousands take their time. */
  readonly looked: (done: number) => void;
}

/** Somebody who looks at one state after the other. */
interface Looker {
  /** @returns what is wrong; undefined if nothing is */
  look(name: string): Promise<string | undefined>;
  stop?(): Promise<void>;
}

/** Each ext4 among `names`: e2fsck replays its journal. @returns what is wrong with those that are bad */
export function lookWithE2fsck({ work, synced, uriOf, scratch, looked }: LookOptions, names: readonly string[]): Promise<Map<string, string>> {
  return findBad(names, looked, (nr) => {
    const copy = createDiskCopy(join(scratch, `e2fsck-${nr}`));
    return {
      async look(name) {
        await copy.take(uriOf(name));
        return (await copy.replayExt4()) ?? copy.check('ext4', work, synced);
      },
    };
  });
}

/** Each of `names`: a Linux that mounts it replays its journal. @returns what is wrong with those that are bad */
export function lookWithLinux({ linux, fs, work, synced, uriOf, scratch, looked }: LookOptions, names: readonly string[]): Promise<Map<string, string>> {
  return findBad(names, looked, async (nr) => {
    const folder = join(scratch, `linux-${nr}`);
    const copy = createDiskCopy(folder);
    await copy.take(uriOf(names[0]!));
    const system = await startReplayLinux(linux, fs, copy.path, folder);
    return {
      async look(name) {
        await copy.take(uriOf(name));
        const trouble = await system.replay();
        return trouble === undefined ? copy.check(fs, work, synced) : `mounted: ${trouble}`;
      },
      stop: () => system.stop(),
    };
  });
}

/** As many look at the same time as there are cores. */
async function findBad(
  names: readonly string[],
  looked: (done: number) => void,
  start: (nr: number) => Looker | Promise<Looker>,
): Promise<Map<string, string>> {
  const bad = new Map<string, string>();
  const left = [...names].reverse();
  let done = 0;
  await Promise.all(
    Array.from({ length: Math.min(availableParallelism(), names.length) }, async (_, nr) => {
      const looker = await start(nr);
      try {
        for (let name = left.pop(); name !== undefined; name = left.pop()) {
          const trouble = await looker.look(name);
          if (trouble !== undefined) bad.set(name, trouble);
          looked(++done);
        }
      } finally {
        await looker.stop?.();
      }
    }),
  );
  return bad;
}
