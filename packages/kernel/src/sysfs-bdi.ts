/**
 * What writeback knows of each disk: /sys/devices/virtual/bdi, and /sys/class/bdi. Mirrors mm/backing-dev.c: bdi_dev_attrs, bdi_register.
 */
import type { Block, Gendisk } from '@holdfast/block';
import { KERN, KernelError, type Printk, readOnly, readWrite } from '@holdfast/lib';
import { relativeLink } from './sysfs-links.js';
import { powerDir } from './sysfs-power.js';
import { ueventFile } from './sysfs-uevent.js';
import { type VfsDir, type VfsLink, type VfsNode, vfsAttributes, vfsDir } from './vfs.js';

const HOME = '/sys/devices/virtual/bdi';

function bdiName({ part0 }: Gendisk): string {
  return `${part0.major}:${part0.minor}`;
}

/** The link `bdi` of a disk whose directory is at `path`. */
export function bdiLink(disk: Gendisk, path: string): VfsLink {
  return relativeLink(path, `${HOME}/${bdiName(disk)}`);
}

/** The entries of /sys/class/bdi. */
export function sysClassBdi({ disks }: Block): Record<string, VfsNode> {
  return Object.fromEntries(disks.map((disk) => [bdiName(disk), relativeLink('/sys/class/bdi', `${HOME}/${bdiName(disk)}`)]));
}

/** /sys/devices/virtual/bdi. */
export function virtualBdiDir({ disks }: Block, printk: Printk): VfsDir {
  let hasWarned = false;
  const warnOnce = (line: string): void => {
    if (!hasWarned) printk(line, KERN.warning);
    hasWarned = true;
  };
  return vfsDir(() => Object.fromEntries(disks.map((disk) => [bdiName(disk), bdiDir(disk, printk, warnOnce)])));
}

function bdiDir(disk: Gendisk, printk: Printk, warnOnce: (line: string) => void): VfsDir {
  const { queue } = disk;
  const name = bdiName(disk);
  const share = (what: string, value: number): ReturnType<typeof readWrite> => readWrite(what, () => value, () => {
    throw new KernelError('EOPNOTSUPP', `${what}: shares of dirty memory are not simulated`);
  });
  return vfsDir({
    ...vfsAttributes([
      readWrite('read_ahead_kb', () => queue.readAheadKb, (text) => {
        if (!/^\d+\n?$/.test(text)) throw new KernelError('EINVAL', `read_ahead_kb '${text.trim()}': expected a number`);
        queue.readAheadKb = Math.floor(Number(text) / 4) * 4;
      }),
      share('min_ratio', 0),
      share('max_ratio', 100),
      readOnly('stable_pages_required', () => {
        warnOnce(`bdi ${name}: the stable_pages_required attribute has been removed. Use the stable_writes queue attribute instead.`);
        return 0;
      }),
    ]),
    power: powerDir(),
    subsystem: relativeLink(`${HOME}/${name}`, '/sys/class/bdi'),
    uevent: ueventFile({ devpath: `/devices/virtual/bdi/${name}`, who: () => `bdi ${name}`, lines: () => [], printk }),
  });
}
