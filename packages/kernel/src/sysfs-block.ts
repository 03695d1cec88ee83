/**
 * Disks under /sys and /dev: /sys/block, /sys/class/block, /sys/dev/block, a disk's directory, and its block special file.
 * Mirrors block/genhd.c: device_add_disk, and drivers/base/devtmpfs.c.
 */
import {
  type Block, type BlockDevice, type Gendisk,
  diskAttributeGroups, openBlockDevice, partitionAttributes, partitionsOf,
} from '@holdfast/block';
import { type Device, devicePath } from '@holdfast/driver-core';
import { relativeLink } from './sysfs-devices.js';
import { type VfsDir, type VfsNode, vfsAttributes, vfsDir } from './vfs.js';

/** The directories of the disks without a device: the entries of /sys/devices/virtual/block. */
export function virtualDisks(block: Block): Record<string, VfsNode> {
  return diskDirs(block, undefined);
}

/** What a device's directory holds of disks: `block/`, if it carries any. */
export function disksOf(block: Block, device: Device): Record<string, VfsNode> {
  const dirs = diskDirs(block, device);
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
    blockDevices(block).map((bdev) => [bdev.name, { kind: 'block', major: bdev.major, minor: bdev.minor, bdev, open: (options) => openBlockDevice(bdev, options) }]),
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

function diskDirs(block: Block, parent: Device | undefined): Record<string, VfsNode> {
  return Object.fromEntries(block.disks.filter((disk) => disk.parent === parent).map((disk) => [disk.name, diskDir(disk)]));
}

function diskDir(disk: Gendisk): VfsDir {
  return vfsDir(() => {
    const path = sysPath(disk.part0);
    const entries: Record<string, VfsNode> = {
      subsystem: relativeLink(path, '/sys/class/block'),
      holders: vfsDir({}),
      slaves: vfsDir({}),
      ...(disk.parent ? { device: relativeLink(path, devicePath(disk.parent)) } : {}),
    };
    for (const { name, attributes } of diskAttributeGroups(disk)) {
      if (name === '') Object.assign(entries, vfsAttributes(attributes));
      else entries[name] = vfsDir(vfsAttributes(attributes));
    }
    for (const partition of partitionsOf(disk)) {
      entries[partition.name] = vfsDir({
        ...vfsAttributes(partitionAttributes(partition)),
        subsystem: relativeLink(sysPath(partition), '/sys/class/block'),
        holders: vfsDir({}),
      });
    }
    return entries;
  });
}
