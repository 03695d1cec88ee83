/** mkswap, swapon and swapoff, beyond what tools/golden replays. */
import { describe, expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { createShell } from '../src/console/shell.js';

async function run(...lines: string[]): Promise<{ status: number; out: string }> {
  const system = await bootFromOptions({ memory: '2G', nvdimm: ['size=64M', 'size=32M'] });
  let out = '';
  const shell = createShell({ system, out: (data) => void (out += new TextDecoder().decode(data)), err: (text) => void (out += text) });
  let status = 0;
  for (const line of lines) status = await shell.run(line);
  return { status, out };
}

const MAKE = 'mkswap /dev/pmem0 > /dev/null';

describe('swap areas', () => {
  it('count in meminfo while they are in use', async () => {
    const { out } = await run(MAKE, 'mkswap -L fast /dev/pmem1 1024 > /dev/null', 'swapon /dev/pmem0', 'swapon -p 3 /dev/pmem1', 'grep Swap /proc/meminfo', 'swapoff -a', 'grep SwapTotal /proc/meminfo', 'wc -l /proc/swaps');
    expect(out).toBe('SwapCached:            0 kB\nSwapTotal:         66552 kB\nSwapFree:          66552 kB\nSwapTotal:             0 kB\n1 /proc/swaps\n');
  });

  it.each([
    ['a device that has none', ['swapon /dev/pmem1'], 'swapon: /dev/pmem1: Invalid argument\n'],
    ['a device twice', [MAKE, 'swapon /dev/pmem0', 'swapon /dev/pmem0'], 'swapon: /dev/pmem0: Device or resource busy\n'],
    ['what is not there', ['swapon /dev/pmem7'], 'swapon: /dev/pmem7: No such file or directory\n'],
    ['no device', ['swapon /proc/cmdline'], 'swapon: /proc/cmdline: Invalid argument\n'],
    ['an end to what never began', ['swapoff /dev/pmem0'], 'swapoff: /dev/pmem0: Invalid argument\n'],
    ['an impossible priority', ['swapon -p 32768 /dev/pmem0'], "swapon: invalid number '32768'\nTry 'swapon --help' for more information.\n"],
  ])('refuse %s', async (_what, lines, out) => expect(await run(...lines)).toEqual({ status: 1, out }));

  it.each([
    ['blkdiscard -z /dev/pmem0', 'blkdiscard: cannot open /dev/pmem0: Device or resource busy\n'],
    ['mkswap /dev/pmem0', 'Setting up swapspace version 1, size = 67104768 bytes\nmkswap: write error: Text file busy\n'],
    ['dd if=/dev/zero of=/dev/pmem0 bs=4k count=1', "dd: error writing '/dev/pmem0': Text file busy\n1+0 records in\n0+0 records out\n"],
    ['dd if=/dev/zero of=/dev/pmem0 bs=4k count=1 oflag=direct', "dd: error writing '/dev/pmem0': Text file busy\n1+0 records in\n0+0 records out\n"],
  ])('are not for others meanwhile: %s', async (line, out) => {
    const result = await run(MAKE, 'swapon /dev/pmem0', line);
    expect(result.status).toBe(1);
    expect(result.out.startsWith(out)).toBe(true);
  });

  it('are written to again after swapoff', async () => {
    expect(await run(MAKE, 'swapon /dev/pmem0', 'swapoff /dev/pmem0', 'echo free > /dev/pmem0', 'head -c 5 /dev/pmem0')).toEqual({ status: 0, out: 'free\n' });
  });
});
