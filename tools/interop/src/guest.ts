/** Boots the installed kernel in QEMU with NVDIMMs behind image files, and gives what a script printed there. */
import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type InstalledLinux, buildInitramfs } from '@holdfast/capture';

export interface GuestDimm {
  readonly image: string;
  /** The last bytes of the image are the label area; 0 if it has none. */
  readonly labelBytes: number;
}

const TIMEOUT_MS = 300_000;

/**
 * Run `script` under busybox's sh.
 * @returns the lines that it printed, without carriage returns
 * @throws Error with the end of the console where the guest did not come to the end of the script
 */
export function runGuest(linux: InstalledLinux, dimms: readonly GuestDimm[], script: string, scratch: string): string[] {
  const initrd = join(scratch, 'initramfs.gz');
  writeFileSync(initrd, buildInitramfs(linux, { script: `echo '@@begin'\n${script}\necho '@@end'` }));
  const devices = dimms.flatMap(({ image, labelBytes }, slot) => [
    '-object', `memory-backend-file,id=m${slot},share=on,mem-path=${image},size=${statSync(image).size}`,
    '-device', `nvdimm,id=nv${slot},memdev=m${slot}${labelBytes > 0 ? `,label-size=${labelBytes}` : ''}`,
  ]);
  const { stdout, stderr } = spawnSync('qemu-system-x86_64', [
    '-accel', 'tcg', '-cpu', 'max,la57=off', '-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none', '-no-reboot',
    '-machine', 'pc,nvdimm=on', '-m', '1G,slots=16,maxmem=64G', ...devices,
    '-kernel', linux.kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 quiet loglevel=1', '-serial', 'stdio',
  ], { encoding: 'utf8', timeout: TIMEOUT_MS });
  const lines = stdout.replaceAll('\r', '').split('\n');
  const [begin, end] = [lines.indexOf('@@begin'), lines.indexOf('@@end')];
  if (begin < 0 || end < 0) throw new Error(`the guest did not finish:\n${lines.slice(-20).join('\n')}\n${stderr}`);
  return lines.slice(begin + 1, end);
}
