/**
 * What a mounted file system is to those above it, and what a type of file system is asked. Mirrors struct super_block, super_operations,
 * file_system_type and fs_context of include/linux/fs.h and fs_context.h.
 */
import type { BlockDevice } from '@holdfast/block';
import type { DaxHosts } from '@holdfast/dax';
import type { KernelRelease, Printk } from '@holdfast/lib';
import type { PageCache } from '@holdfast/mm';
import type { FsDirectory } from './inode.js';

/** What file systems need of the kernel. */
export interface FsNeeds {
  readonly printk: Printk;
  readonly daxHosts: DaxHosts;
  readonly pageCache: PageCache;
  readonly release: KernelRelease;
  /** Seconds since 1970, by the kernel's clock. */
  readonly now: () => number;
}

/** One option of a mount: `dax=always` is key and value, `dax` a key alone. */
export interface FsParameter {
  readonly key: string;
  readonly value: string | undefined;
}

export interface MountRequest {
  readonly bdev: BlockDevice;
  readonly readOnly: boolean;
  /** Each write is durable when it returns (SB_SYNCHRONOUS). */
  readonly synchronous?: boolean | undefined;
  /** Whoever mounts tries one type after the other: what is not of this type is no news (MS_SILENT). */
  readonly silent: boolean;
  readonly parameters: readonly FsParameter[];
}

/** What statfs(2) tells. */
export interface Kstatfs {
  readonly type: number;
  readonly blockSize: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  /** Free for users that are not root. */
  readonly availableBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
  readonly fsid: readonly [number, number];
  readonly nameLength: number;
}

/** What changes while a file system is mounted. */
export interface MountState {
  readOnly: boolean;
  /** Each write is durable when it returns. */
  synchronous: boolean;
  /** How many files are open, and how many of them for writing. */
  openFiles: number;
  openForWriting: number;
}

/** What ext4 and XFS say of -o discard on a disk that discards nothing. */
export const VAIN_DISCARD = 'mounting with "discard" option, but the device does not support discard';

export function newMountState({ readOnly, synchronous = false }: Pick<MountRequest, 'readOnly' | 'synchronous'>): MountState {
  return { readOnly, synchronous, openFiles: 0, openForWriting: 0 };
}

export interface SuperBlock {
  readonly bdev: BlockDevice;
  readonly root: FsDirectory;
  readonly state: MountState;
  /** The last second since 1970 that its timestamps can tell (s_time_max), where that is near. */
  readonly timeMax?: number;
  /** What /proc/mounts shows behind `rw,relatime`, each with its comma. */
  showOptions(): string;
  statfs(): Kstatfs;
  /** Change options of a mounted file system. @throws KernelError EINVAL, EROFS */
  reconfigure(request: Pick<MountRequest, 'readOnly' | 'synchronous' | 'parameters'>): void;
  /** Write everything, and make it durable. @throws KernelError EIO */
  sync(): void;
  /** The last mount is gone: leave a clean file system. What the device refuses now is lost, and logged. */
  put(): void;
}

export interface FileSystemType {
  readonly name: string;
  /** Read the options, before anybody looks for the device. @throws KernelError EINVAL; the log says why */
  parseParameters(parameters: readonly FsParameter[], needs: FsNeeds): FillSuper;
}

/** @throws KernelError with what mount(2) then answers; the log says why */
export type FillSuper = (request: MountRequest) => SuperBlock;
