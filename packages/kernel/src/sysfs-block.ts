/**
 * Disks under /sys and /dev: /sys/block, /sys/class/block, /sys/dev/block, a disk's directory, and its block special file.
 * Mirrors block/genhd.c: device_add_disk, and drivers/base/devtmpfs.c.
 */
import {
  type Block, type BlockDevice, type Gendisk,
  blockUevent, diskAttributeGroups, openBlockDevice, partitionAttributes, partitionsOf, traceAttributes,
} from '@holdfast/block';
import { type Device, devicePath } from '@holdfast/driver-core';
import type { Printk } from '@holdfast/lib';
import { bdiLink } from './sysfs-bdi.js';
import { relativeLink } from './sysfs-links.js';
import { powerDir } from './sysfs-power.js';
import { nodeLines, ueventFile } from './sysfs-uevent.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir, vfsParts } from './vfs.js';

/** The directories of the disks without a device: the entries of /sys/devices/virtual/block. */
export function virtualDisks(block: Block, printk: Printk): Record<string, VfsNode> {
  return diskDirs(block, undefined, printk);
}

/** What a device's directory holds of disks: `block/`, if it carries any. */
export function disksOf(block: Block, device: Device, printk: Printk): Record<string, VfsNode> {
  const dirs = diskDirs(block, device, printk);
  return Object.keys(dirs).length === 0 ? {} : { block: vfsDir(dirs) };
}

/** The entries of /sys/block: whole disks. */
export function sysBlock(block: Block): Record<string, VfsNode> {
  return Object.fromEntries(block.disks.map((disk) => [disk.name, relativeLink('/sys/block', sysPath(disk.part0))]));
}

/** The entries of /sys/class/block: disks and partitions. */
export function sysClassBlock(block: Block): Record<string, VfsNode> {
  return Object.fromEntries(blockDevices(block).map((bdev) => [bdev.name, relativeLink('/sys/class/block', sysPath(bdev))]));
}

/** The entries of /sys/dev/block: the same, by number. */
export function sysDevBlock(block: Block): Record<string, VfsNode> {
  return Object.fromEntries(blockDevices(block).map((bdev) => [`${bdev.major}:${bdev.minor}`, relativeLink('/sys/dev/block', sysPath(bdev))]));
}

/** The block special files of /dev. */
export function devBlock(block: Block): Record<string, VfsNode> {
  return Object.fromEntries(
    blockDevices(block).map((bdev) => [
      bdev.name,
      { kind: 'block', major: bdev.major, minor: bdev.minor, bdev, open: (options) => openBlockDevice(bdev, options) },
    ]),
  );
}

function blockDevices(block: Block): BlockDevice[] {
  return block.disks.flatMap((disk) => [disk.part0, ...partitionsOf(disk)]);
}

function sysPath(bdev: BlockDevice): string {
  const { disk } = bdev;
  const home = disk.parent ? `${devicePath(disk.parent)}/block` : '/sys/devices/virtual/block';
  return bdev.partno === 0 ? `${home}/${disk.name}` : `${home}/${disk.name}/${bdev.name}`;
}

function diskDirs(block: Block, parent: Device | undefined, printk: Printk): Record<string, VfsNode> {
  return Object.fromEntries(block.disks.filter((disk) => disk.parent === parent).map((disk) => [disk.name, diskDir(disk, printk)]));
}

function diskDir(disk: Gendisk, printk: Printk): VfsDir {
  const path = sysPath(disk.part0);
  const links = (): Record<string, VfsNode> => ({
    bdi: bdiLink(disk, path),
    slaves: vfsDir({}),
    ...(disk.parent ? { device: relativeLink(path, devicePath(disk.parent)) } : {}),
  });
  const attributes = (): Record<string, VfsNode> => {
    const entries: Record<string, VfsNode> = {};
    for (const { name, attributes: group } of diskAttributeGroups(disk)) {
      if (name === '') Object.assign(entries, vfsAttributes(group));
      else entries[name] = vfsDir(vfsAttributes(group));
    }
    return entries;
  };
  const partitions = (): Record<string, VfsNode> =>
    Object.fromEntries(partitionsOf(disk).map((partition) => [partition.name, partitionDir(partition, printk)]));
  return vfsParts([attributes, links, () => common(disk.part0, printk), partitions]);
}

function partitionDir(partition: BlockDevice, printk: Printk): VfsDir {
  return vfsParts([
    () => vfsAttributes(partitionAttributes(partition)),
    () => ({ trace: vfsDir(vfsAttributes(traceAttributes())) }),
    () => common(partition, printk),
  ]);
}

/** What the directories of disks and of partitions have. */
function common(bdev: BlockDevice, printk: Printk): Record<string, VfsNode> {
  const path = sysPath(bdev);
  const lines = (): string[] => [...nodeLines(bdev.major, bdev.minor, bdev.name), ...blockUevent(bdev)];
  return {
    holders: vfsDir({}),
    power: powerDir(),
    subsystem: relativeLink(path, '/sys/class/block'),
    uevent: ueventFile({ devpath: path.slice('/sys'.length), who: () => `block ${bdev.name}`, lines, printk }),
  };
}
