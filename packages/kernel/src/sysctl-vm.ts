/**
 * /proc/sys/vm: what an admin may set of the page cache. Mirrors kernel/sysctl.c and fs/drop_caches.c.
 */
import { KernelError, type Printk } from '@holdfast/lib';
import { type PageCache, type WritebackTunables, dropPagecache, runFlusher } from '@holdfast/mm';
import { type VfsDir, type VfsFile, vfsDir } from './vfs.js';

export function sysctlVm(cache: PageCache, printk: Printk): VfsDir {
  return vfsDir({
    dirty_background_ratio: tunable(cache, 'dirtyBackgroundRatio', 100),
    dirty_expire_centisecs: tunable(cache, 'dirtyExpireCentisecs', INT_MAX),
    dirty_ratio: tunable(cache, 'dirtyRatio', 100),
    dirty_writeback_centisecs: tunable(cache, 'dirtyWritebackCentisecs', INT_MAX),
    drop_caches: {
      kind: 'file',
      mode: 0o200,
      // 2 is for dentries and inodes: there are none to drop.
      write(text) {
        const what = numberOf(text, 1, 4);
        if (what % 2 === 1) dropPagecache(cache);
        if (what !== 4) printk(`sh (1): drop_caches: ${what}`);
      },
    },
  });
}

const INT_MAX = 2 ** 31 - 1;

function tunable(cache: PageCache, name: keyof WritebackTunables, max: number): VfsFile {
  return {
    kind: 'file',
    mode: 0o644,
    read: () => `${cache.tunables[name]}\n`,
    write(text) {
      runFlusher(cache); // by the rules until now
      cache.tunables[name] = numberOf(text, 0, max);
    },
  };
}

function numberOf(text: string, min: number, max: number): number {
  const match = /^\s*(\d+)\s*$/.exec(text);
  const value = match ? Number(match[1]) : NaN;
  if (!(value >= min && value <= max)) throw new KernelError('EINVAL', `'${text.trim()}': expected a number from ${min} to ${max}`);
  return value;
}
