/**
 * What is mounted where. Mirrors fs/namespace.c: do_new_mount, do_add_mount, do_umount, fs/super.c: get_tree_bdev, and fs/proc_namespace.c.
 *
 * Invariant: a block device that is mounted is held by the type of its file system, and has one superblock, however often it is mounted; the
 * last unmount writes it and lets go of the device.
 */
import { type BlockDevice, bdevReadOnly, blkdevGet, blkdevPut } from '@holdfast/block';
import { KERN, KernelError } from '@holdfast/lib';
import type { FileSystemType, FsNeeds, FsParameter, SuperBlock } from './super-block.js';

/** Flags of one mount, and not of the file system behind it, in the order in which they are shown. */
export const MOUNT_FLAGS = ['nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'relatime'] as const;
export type MountFlag = (typeof MOUNT_FLAGS)[number];

/** Seconds that a machine may run on: 30 years (TIME_UPTIME_SEC_MAX). */
const UPTIME_MAX = 30 * 365 * 24 * 3600;

export interface MountCall {
  /** The device that the source names (lookup_bdev). @throws KernelError ENOENT, ENOTBLK */
  readonly lookup: () => BlockDevice;
  /** As it is shown: `/dev/pmem0`. */
  readonly source: string;
  /** An absolute path without links. */
  readonly target: string;
  readonly type: string;
  readonly readOnly?: boolean;
  /** MS_SYNCHRONOUS. */
  readonly synchronous?: boolean;
  /** MS_SILENT. */
  readonly silent?: boolean;
  readonly flags?: ReadonlySet<MountFlag>;
  readonly parameters?: readonly FsParameter[];
}

export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly sb: SuperBlock;
  readonly readOnly: boolean;
  readonly flags: ReadonlySet<MountFlag>;
}

export interface Mounts {
  /** In the order in which they were mounted. */
  readonly list: readonly Mount[];
  /** Names of types, as /proc/filesystems has them. */
  readonly types: readonly string[];
  /** What is mounted at a path: the last of several. */
  at(target: string): Mount | undefined;
  /** Is anything mounted below a path? */
  hasBelow(path: string): boolean;
  /** @throws KernelError ENODEV for a type that there is not, EBUSY, EACCES for a device that is read-only, the look-up's, and the file system's */
  mount(call: MountCall): void;
  /** @throws KernelError EINVAL if nothing is mounted there, and the file system's */
  remount(
    target: string,
    options: {
      readonly readOnly: boolean;
      readonly synchronous?: boolean;
      readonly flags?: ReadonlySet<MountFlag>;
      readonly parameters?: readonly FsParameter[];
    },
  ): void;
  /** @throws KernelError EINVAL if nothing is mounted there, EBUSY */
  umount(target: string): void;
  /** Unmount everything, the last first, whoever uses it. */
  umountAll(): void;
  /** Write everything, and make it durable; errors stay for who asks by fsync. */
  sync(): void;
}

export function createMounts(needs: FsNeeds, types: readonly FileSystemType[]): Mounts {
  let mounts: Mount[] = [];
  const topOf = (target: string): Mount | undefined => mounts.findLast((mount) => mount.target === target);
  const mountAt = (target: string): Mount => {
    const mount = topOf(target);
    if (!mount) throw new KernelError('EINVAL', `nothing is mounted at ${target}`);
    return mount;
  };
  /** Find the device and claim it; what is mounted from it already, by the same type, is shared (blkdev_get_by_path, sget_fc). */
  const claim = ({ source, type, lookup }: MountCall, readOnly: boolean): { bdev: BlockDevice; there: SuperBlock | undefined } => {
    try {
      const bdev = lookup();
      if (!readOnly && bdevReadOnly(bdev)) throw new KernelError('EACCES', `${source} is read-only`);
      const there = mounts.find((mount) => mount.sb.bdev === bdev && mount.type === type)?.sb;
      if (!there) blkdevGet(bdev, holderOf(type));
      return { bdev, there };
    } catch (error) {
      needs.printk(`${source}: Can't open blockdev`, KERN.err);
      throw error;
    }
  };
  const superOf = (call: MountCall, fsType: FileSystemType): SuperBlock => {
    const { readOnly = false, synchronous = false, silent = false, parameters = [] } = call;
    const fillSuper = fsType.parseParameters(parameters, needs);
    const { bdev, there } = claim(call, readOnly);
    if (there) {
      if (there.state.readOnly !== readOnly) throw new KernelError('EBUSY', `${call.source} is mounted ${there.state.readOnly ? 'read-only' : 'for writing'}`);
      return there;
    }
    try {
      return fillSuper({ bdev, readOnly, synchronous, silent, parameters });
    } catch (error) {
      blkdevPut(bdev, holderOf(call.type));
      throw error;
    }
  };
  const detach = (mount: Mount): void => {
    mounts = mounts.filter((other) => other !== mount);
    if (mounts.some(({ sb }) => sb === mount.sb)) return;
    mount.sb.put();
    blkdevPut(mount.sb.bdev, holderOf(mount.type));
  };
  return {
    get list() {
      return mounts;
    },
    types: types.map(({ name }) => name),
    at: topOf,
    hasBelow: (path) => mounts.some(({ target }) => target.startsWith(`${path === '/' ? '' : path}/`)),
    mount(call) {
      const fsType = types.find(({ name }) => name === call.type);
      if (!fsType) throw new KernelError('ENODEV', `there is no file system type ${call.type}`);
      const sb = superOf(call, fsType);
      if (topOf(call.target)?.sb === sb) throw new KernelError('EBUSY', `${call.source} is mounted at ${call.target} already`);
      const { source, target, type, readOnly = false, flags = new Set<MountFlag>(['relatime']) } = call;
      mounts = [...mounts, { source, target, type, sb, readOnly, flags }];
      if (!readOnly && sb.timeMax !== undefined && needs.now() + UPTIME_MAX > sb.timeMax) {
        const [date] = new Date(sb.timeMax * 1000).toISOString().split('T');
        needs.printk(`${type} filesystem being mounted at ${target} supports timestamps until ${date} (0x${sb.timeMax.toString(16)})`, KERN.warning);
      }
    },
    remount(target, { readOnly, synchronous = false, flags, parameters = [] }) {
      const mount = mountAt(target);
      if (readOnly && !mount.sb.state.readOnly && mount.sb.state.openForWriting > 0) throw new KernelError('EBUSY', `a file of ${target} is open for writing`);
      mount.sb.reconfigure({ readOnly, synchronous, parameters });
      mounts = mounts.map((other) => (other === mount ? { ...mount, readOnly, flags: flags ?? mount.flags } : other));
    },
    umount(target) {
      const mount = mountAt(target);
      if (mounts.some((other) => other.target.startsWith(`${target}/`))) throw new KernelError('EBUSY', `something is mounted below ${target}`);
      const isLast = !mounts.some((other) => other !== mount && other.sb === mount.sb);
      if (isLast && mount.sb.state.openFiles > 0) throw new KernelError('EBUSY', `${mount.sb.state.openFiles} files of ${target} are open`);
      detach(mount);
    },
    umountAll() {
      for (const mount of [...mounts].reverse()) detach(mount);
    },
    sync() {
      for (const sb of new Set(mounts.map((mount) => mount.sb))) {
        try {
          sb.sync();
        } catch (error) {
          if (!(error instanceof KernelError)) throw error;
        }
      }
    },
  };
}

function holderOf(type: string): string {
  return `a mounted ${type}`;
}

/** A line of /proc/mounts (show_vfsmnt). */
export function formatMount({ source, target, type, sb, readOnly, flags }: Mount): string {
  const shown = [
    readOnly || sb.state.readOnly ? 'ro' : 'rw',
    ...(sb.state.synchronous ? ['sync'] : []),
    ...MOUNT_FLAGS.filter((flag) => flags.has(flag)),
  ].join(',');
  return `${escaped(source)} ${escaped(target)} ${type} ${shown}${sb.showOptions()} 0 0\n`;
}

/** Spaces and the like in octal, so that fields stay fields (seq_path). */
function escaped(text: string): string {
  return text.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
