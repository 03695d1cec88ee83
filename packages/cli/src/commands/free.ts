/** free(1), from /proc/meminfo: kibibytes, or `-b`, `-m`, `-g`, `-h`. */
import { readFile } from '@holdfast/kernel';
import type { Command } from '../console/command.js';
import { getopt } from '../console/getopt.js';
import { humanSize } from '../console/smartcols.js';

export const free: Command = {
  usage: 'free [-b|-k|-m|-g|-h]',
  run({ args, root, out }) {
    const { has } = getopt(args, {
      short: { b: 'bytes', k: 'kibi', m: 'mebi', g: 'gibi', h: 'human' },
      long: { bytes: false, kibi: false, mebi: false, gibi: false, human: false },
    });
    const text = String(readFile(root, '/proc/meminfo'));
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
    const unit = has('bytes') ? 1 / 1024 : has('mebi') ? 1024 : has('gibi') ? 1024 * 1024 : 1;
    const show = (value: number): string => (has('human') ? humanSize(value * 1024).replace(/([KMGTPE])$/, '$1i') : String(Math.floor(value / unit)));
    const cache = kib('Buffers') + kib('Cached') + kib('SReclaimable');
    const [total, unused, available] = [kib('MemTotal'), kib('MemFree'), kib('MemAvailable')];
    const columns = ['total', 'used', 'free', 'shared', 'buff/cache', 'available'];
    out(`${' '.repeat(7)}${columns.map((name) => name.padStart(13).slice(-13)).join('').replace(/^ /, '')}\n`);
    const memory = [total, Math.max(0, total - Math.max(available, unused)), unused, kib('Shmem'), cache, available];
    out(`Mem:   ${memory.map((value) => show(value).padStart(12)).join(' ')}\n`);
    const swap = [kib('SwapTotal'), kib('SwapTotal') - kib('SwapFree'), kib('SwapFree')];
    out(`Swap:  ${swap.map((value) => show(value).padStart(12)).join(' ')}\n`);
  },
};
