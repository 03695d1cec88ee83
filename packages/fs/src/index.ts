// What metadata code reads and writes.
export { type BlockStore, createMemoryStore } from './block-store.js';
// What file systems show of themselves, their files and directories.
export { type DirectPiece, type FsDirectory, type FsFile, type FsNode, type FsRegular, type FsSymlink, type Kstat, STATX_ATTR } from './inode.js';
export { type FileSystemType, type FsNeeds, type FsParameter, type Kstatfs, type SuperBlock } from './super-block.js';
export { checkDirect, directRead, directWrite } from './direct-file.js';
// What is mounted where.
export { type Mount, type MountCall, type MountFlag, type Mounts, MOUNT_FLAGS, createMounts, formatMount } from './mounts.js';
export { splitParameters } from './fs-parameters.js';
// The file systems.
export { createRamfs } from './ramfs.js';
export { ext4Types } from './ext4/ext4-super.js';
export { xfsType } from './xfs/xfs-super.js';
// What they begin with, for tools that look at media.
export {
  COMPAT, EXT2_FEATURES, EXT3_FEATURES, EXT4_SUPER_MAGIC, INCOMPAT, RO_COMPAT, SUPER_LAYOUT, SUPER_OFFSET, type Superblock, blockSizeOf,
  blocksCountOf, descSizeOf, hasCompat, hasIncompat, hasRoCompat, superblockChecksum,
} from './ext4/superblock.js';
export { type JournalSuper, decodeJournalSuper } from './ext4/jbd2.js';
export { XFS_CRC_AT, XFS_SB_MAGIC, decodeXfsSuper, isSealed } from './xfs/format.js';
// Making them.
export { type Features, type Geometry, type Mke2fsOptions, TYPE_FEATURES, defaultJournalBlocks, planExt4, usageBySize } from './ext4/mke2fs-geometry.js';
export { type MadeExt4, makeExt4 } from './ext4/mke2fs.js';
export type { XfsGeometry, XfsSuper } from './xfs/format.js';
export { type MkfsXfsOptions, XfsUsage, makeXfs, planXfs } from './xfs/mkfs-xfs.js';
