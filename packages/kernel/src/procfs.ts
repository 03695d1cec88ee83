/**
 * /proc: texts that are made at each read by the subsystem they tell of. Mirrors fs/proc.
 */
import { type KernelRelease, type Printk, type Resource, formatIomem } from '@holdfast/lib';
import { type Block, formatDiskstats, formatPartitions } from '@holdfast/block';
import { type Mounts, formatMount } from '@holdfast/fs';
import type { PageCache } from '@holdfast/mm';
import type { MmTexts } from './mm-init.js';
import { type OwnMount, formatOwnMount } from './own-mounts.js';
import { sysctlVm } from './sysctl-vm.js';
import { type VfsDir, type VfsNode, vfsDir, vfsText } from './vfs.js';

export interface ProcNeeds {
  readonly cmdline: string;
  readonly release: KernelRelease;
  readonly iomem: Resource;
  readonly block: Block;
  readonly mm: MmTexts;
  readonly pageCache: PageCache;
  readonly printk: Printk;
  readonly mounts: Mounts;
  readonly ownMounts: readonly OwnMount[];
  /** Virtual nanoseconds since power-on. */
  readonly now: () => number;
}

export function createProc({ cmdline, release, iomem, block, mm, pageCache, printk, mounts, ownMounts, now }: ProcNeeds): VfsDir {
  const files: Record<string, VfsNode> = {
    buddyinfo: vfsText(mm.buddyinfo),
    cmdline: vfsText(() => `${cmdline}\n`),
    devices: vfsText(() => formatDevices(block)),
    diskstats: vfsText(() => formatDiskstats(block)),
    iomem: vfsText(() => formatIomem(iomem), 0o400),
    filesystems: vfsText(() => formatFilesystems(mounts)),
    meminfo: vfsText(mm.meminfo),
    mounts: vfsText(() => [...ownMounts.map(formatOwnMount), ...mounts.list.map(formatMount)].join('')),
    pagetypeinfo: vfsText(mm.pagetypeinfo, 0o400),
    partitions: vfsText(() => formatPartitions(block)),
    swaps: vfsText(mm.swaps),
    uptime: vfsText(() => `${(now() / 1e9).toFixed(2)} ${(now() / 1e9).toFixed(2)}\n`),
    version: vfsText(() => `${versionBanner(release)}\n`),
    vmstat: vfsText(mm.vmstat),
    zoneinfo: vfsText(mm.zoneinfo),
    sys: vfsDir({ vm: sysctlVm(pageCache, printk) }),
    // Page-frame flags as runs of equal frames: the file's real form is eight bytes for each frame there is.
    kpageflags: vfsText(mm.kpageflags, 0o400),
  };
  return vfsDir(files);
}

/** What begins a boot's log, and /proc/version. */
export function versionBanner(release: KernelRelease): string {
  return `Linux version ${release.text} (holdfast@holdfast) #1 SMP PREEMPT_DYNAMIC Holdfast`;
}

/** Those that need no device first, as they register first. */
function formatFilesystems({ types }: Mounts): string {
  return `${['sysfs', 'proc', 'devtmpfs', 'rootfs'].map((name) => `nodev\t${name}\n`).join('')}${types.map((name) => `\t${name}\n`).join('')}`;
}

function formatDevices(block: Block): string {
  const majors = [...block.majors].sort(([a], [b]) => a - b);
  return `Character devices:\n  1 mem\n  5 /dev/console\n\nBlock devices:\n${majors.map(([major, name]) => `${String(major).padStart(3)} ${name}\n`).join('')}`;
}
