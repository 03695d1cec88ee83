/** The file systems that are crashed, and the commands of Debian's for them. */
export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** Makes one; the disk's name follows. */
export const MAKE: Readonly<Record<FileSystem, string>> = { ext4: '/usr/sbin/mkfs.ext4 -q -b 4096', xfs: '/usr/sbin/mkfs.xfs -q -f' };

/** Looks at all of one and repairs nothing; the disk's name or an image follows. */
export const CHECK: Readonly<Record<FileSystem, readonly string[]>> = { ext4: ['/usr/sbin/e2fsck', '-fn'], xfs: ['/usr/sbin/xfs_repair', '-n'] };
