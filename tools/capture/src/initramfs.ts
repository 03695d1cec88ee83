/** An initramfs of the machine's own installed packages: busybox, ndctl and others with their libraries, modules, and an init. */
import { gzipSync } from 'node:zlib';
import { type CpioFile, cpioArchive } from './cpio.js';
import { BOOT_MODULES, type InstalledLinux, moduleFiles, toolFiles } from './installed-linux.js';

export interface InitramfsParts {
  /** Run by busybox's sh once the modules are there; the guest then powers off. */
  readonly script: string;
  /** More files, by path without a leading `/`. */
  readonly files?: ReadonlyMap<string, Buffer>;
}

/** A gzipped cpio archive whose init mounts the trees, loads the modules, runs the script, and powers off. */
export function buildInitramfs(linux: InstalledLinux, { script, files = new Map() }: InitramfsParts): Buffer {
  const all = new Map<string, CpioFile>([...toolFiles(), ...moduleFiles(linux), ...files, ['init', Buffer.from(initScript(script))]]);
  return gzipSync(cpioArchive(all, ['proc', 'sys', 'dev', 'tmp', 'mnt', 'run', 'sbin', 'bin']), { level: 1 });
}

function initScript(script: string): string {
  return `#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s /bin
ln -s /bin/modprobe /sbin/modprobe; ln -s /proc/mounts /etc/mtab
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for m in ${BOOT_MODULES.join(' ')}; do modprobe $m; done
ndctl wait-scrub >/dev/null 2>&1; sleep 1
${script}
sync
poweroff -f
`;
}
