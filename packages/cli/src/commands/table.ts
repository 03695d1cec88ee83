/**
 * The console's commands by name: what each is for, and where it is loaded from when it is first used.
 */
import type { Command } from '../console/command.js';

export interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** Answers even when no kernel runs. */
  readonly withoutKernel?: boolean;
}

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  cat: { summary: 'print files', load: async () => (await import('./cat.js')).cat },
  ls: { summary: 'list a directory', load: async () => (await import('./ls.js')).ls },
  echo: { summary: 'print words; with > FILE, write them', load: async () => (await import('./echo.js')).echo },
  head: { summary: 'print the first lines or bytes', load: async () => (await import('./head.js')).head },
  tail: { summary: 'print the last lines', load: async () => (await import('./tail.js')).tail },
  grep: { summary: 'print lines that match a pattern', load: async () => (await import('./grep.js')).grep },
  sed: { summary: 'replace text in lines', load: async () => (await import('./sed.js')).sed },
  printf: { summary: 'print words by a format', load: async () => (await import('./printf.js')).printf },
  cut: { summary: 'print parts of lines', load: async () => (await import('./cut.js')).cut },
  uniq: { summary: 'of equal lines in a row, print one', load: async () => (await import('./uniq.js')).uniq },
  sort: { summary: 'put lines in order', load: async () => (await import('./sort.js')).sort },
  find: { summary: 'list what lies below a directory', load: async () => (await import('./find.js')).find },
  stat: { summary: 'tell what a file or file system is', load: async () => (await import('./stat.js')).stat },
  df: { summary: 'tell how full file systems are', load: async () => (await import('./df.js')).df },
  wc: { summary: 'count lines, words and bytes', load: async () => (await import('./wc.js')).wc },
  pwd: { summary: 'print the working directory', load: async () => (await import('./pwd.js')).pwd },
  readlink: { summary: 'print where a link leads', load: async () => (await import('./readlink.js')).readlink },
  mkdir: { summary: 'make directories', load: async () => (await import('./mkdir.js')).mkdir },
  rm: { summary: 'remove files', load: async () => (await import('./rm.js')).rm },
  hexdump: { summary: 'print bytes in hexadecimal', load: async () => (await import('./hexdump.js')).hexdump },
  od: { summary: 'print bytes in octal and other forms', load: async () => (await import('./od.js')).od },
  cmp: { summary: 'compare two files byte by byte', load: async () => (await import('./cmp.js')).cmp },
  dd: { summary: 'copy blocks, and count them', load: async () => (await import('./dd.js')).dd },
  blockdev: { summary: 'ask and set what a block device is', load: async () => (await import('./blockdev.js')).blockdev },
  blkid: { summary: 'tell what lies on block devices', load: async () => (await import('./blkid/blkid.js')).blkid },
  blkdiscard: { summary: 'discard the blocks of a device', load: async () => (await import('./blkdiscard.js')).blkdiscard },
  mkswap: { summary: 'make a swap area of a device', load: async () => (await import('./mkswap.js')).mkswap },
  swapon: { summary: 'use a swap area', load: async () => (await import('./swapon.js')).swapon },
  swapoff: { summary: 'use a swap area no longer', load: async () => (await import('./swapon.js')).swapoff },
  daxctl: { summary: 'list and change device-dax devices', load: async () => (await import('./daxctl/daxctl.js')).daxctl },
  mount: { summary: 'mount a file system, or list what is mounted', load: async () => (await import('./mount.js')).mount },
  mountpoint: { summary: 'is something mounted on a directory?', load: async () => (await import('./mountpoint.js')).mountpoint },
  umount: { summary: 'unmount a file system', load: async () => (await import('./umount.js')).umount },
  'mkfs.ext4': { summary: 'make an ext4', load: async () => (await import('./mkfs/mke2fs.js')).mkfsExt4 },
  'mkfs.ext2': { summary: 'make an ext2', load: async () => (await import('./mkfs/mke2fs.js')).mkfsExt2 },
  mke2fs: { summary: 'make an ext2 or, with -t, an ext4', load: async () => (await import('./mkfs/mke2fs.js')).mke2fs },
  'mkfs.xfs': { summary: 'make an XFS', load: async () => (await import('./mkfs/mkxfs.js')).mkfsXfs },
  dumpe2fs: { summary: 'print the superblock of an ext2 or ext4', load: async () => (await import('./dumpe2fs.js')).dumpe2fs },
  xfs_io: { summary: 'I/O on one file: statx, pread, pwrite, …', load: async () => (await import('./xfs-io.js')).xfsIo },
  lsblk: { summary: 'list block devices', load: async () => (await import('./lsblk.js')).lsblk },
  lspci: { summary: 'list PCI devices', load: async () => (await import('./lspci.js')).lspci },
  ndctl: { summary: 'manage persistent memory: regions, namespaces, labels', load: async () => (await import('./ndctl/ndctl.js')).ndctl },
  lsmem: { summary: 'list ranges of memory with their state', load: async () => (await import('./lsmem.js')).lsmem },
  free: { summary: 'show free and used memory', load: async () => (await import('./free.js')).free },
  dmesg: { summary: 'print the kernel log', load: async () => (await import('./dmesg.js')).dmesg, withoutKernel: true },
  modprobe: { summary: 'load a driver: all are built in', load: async () => (await import('./modprobe.js')).modprobe },
  uname: { summary: 'name the kernel', load: async () => (await import('./uname.js')).uname },
  sleep: { summary: 'let virtual time pass', load: async () => (await import('./sleep.js')).sleep },
  probe: { summary: 'make one system call on a file, and print its answer', load: async () => (await import('./probe.js')).probe },
  sync: { summary: 'make everything written durable', load: async () => (await import('./sync.js')).sync },
  poweroff: { summary: 'shut down in order', load: async () => (await import('./poweroff.js')).poweroff, withoutKernel: true },
  reboot: { summary: 'shut down in order, and boot', load: async () => (await import('./reboot.js')).reboot, withoutKernel: true },
  host: { summary: 'plug memory into the machine, and pull it', load: async () => (await import('./host.js')).host, withoutKernel: true },
  powercut: { summary: 'pull the plug, and boot again', load: async () => (await import('./powercut.js')).powercut, withoutKernel: true },
  help: { summary: 'list these commands', load: async () => (await import('./help.js')).help, withoutKernel: true },
};

/** What the shell itself answers. */
export const BUILTINS: Readonly<Record<string, string>> = {
  cd: 'change the working directory',
  exit: 'leave the console',
  test: 'compare texts and numbers; also [ … ]',
  true: 'succeed',
  false: 'fail',
};
