/** probe, where it differs from the captured machines' uses of it, which tools/golden replays. */
import { describe, expect, it } from 'vitest';
import { bootFromOptions } from '../src/boot-command.js';
import { createShell } from '../src/console/shell.js';

async function run(...lines: string[]): Promise<{ status: number; out: string }> {
  const system = await bootFromOptions({ memory: '8G', cmdline: 'memmap=1G%4G-1+0xefffffff memmap=64M!6G' });
  let out = '';
  const shell = createShell({ system, out: (data) => void (out += new TextDecoder().decode(data)), err: (text) => void (out += text) });
  let status = 0;
  for (const line of lines) status = await shell.run(line);
  return { status, out };
}

describe('probe', () => {
  it.each([
    ['mmap /dev/dax0.0 0 2097152 shared', 0, 'mmap /dev/dax0.0 0 2097152 shared = mapped va-mod-2M=0x0 touch=ok\n'],
    ['mmap /dev/dax0.0 0 2097152 private', 0, 'mmap /dev/dax0.0 0 2097152 private = -1 EINVAL (Invalid argument)\n'],
    ['mmap /dev/dax1.0 0 2097152 shared', 1, 'mmap /dev/dax1.0 0 2097152 shared : open = -1 ENOENT (No such file or directory)\n'],
    ['pread /dev/pmem1 0 4096', 0, 'pread /dev/pmem1 0 4096 = 4096\n'],
    ['pread /dev/pmem1 67108864 4096', 0, 'pread /dev/pmem1 67108864 4096 = 0\n'],
    ['pwrite /dev/pmem1 0 512', 0, 'pwrite /dev/pmem1 0 512 = 512\n  fsync = 0\n'],
    ['pwrite /dev/dax0.0 0 512', 1, 'pwrite /dev/dax0.0 0 512 = -1 EINVAL (Invalid argument)\n'],
    ['pwrite /dev/dax0.0 0 512 direct', 1, 'pwrite /dev/dax0.0 0 512 direct : open = -1 EINVAL (Invalid argument)\n'],
    ['pwrite /dev/pmem1 512 512 direct', 0, 'pwrite /dev/pmem1 512 512 direct = 512\n  fsync = 0\n'],
    ['pread /dev/pmem1 100 512 direct', 1, 'pread /dev/pmem1 100 512 direct = -1 EINVAL (Invalid argument)\n'],
    ['pread /dev/pmem1 0 512 direct bufskew', 1, 'pread /dev/pmem1 0 512 direct bufskew = -1 EINVAL (Invalid argument)\n'],
    ['pread /dev/pmem1 1 0 direct', 0, 'pread /dev/pmem1 1 0 direct = 0\n'],
    ['pwrite /dev/pmem1 4096 0 direct bufskew', 0, 'pwrite /dev/pmem1 4096 0 direct bufskew = 0\n  fsync = 0\n'],
    ['pwrite /dev/pmem1 1099511627776 0', 0, 'pwrite /dev/pmem1 1099511627776 0 = 0\n  fsync = 0\n'],
    ['pread /dev/pmem1 0 512 bufskew', 0, 'pread /dev/pmem1 0 512 bufskew = 512\n'],
    ['open /dev/pmem7 r', 1, 'open /dev/pmem7 r : open = -1 ENOENT (No such file or directory)\n'],
    ['ioctl-size /dev/pmem1', 0, 'ioctl-size /dev/pmem1 size=67108864 ssz=512 pbsz=4096 ro=0 alignoff=0\n'],
    ['zeroout /dev/pmem1 0 1048576', 0, 'zeroout /dev/pmem1 0 1048576 = 0\n'],
    ['discard /dev/pmem1 0 4096', 1, 'discard /dev/pmem1 0 4096 = -1 EOPNOTSUPP (Operation not supported)\n'],
    ['zeroout /dev/dax0.0 0 4096', 1, 'zeroout /dev/dax0.0 0 4096 = -1 ENOTTY (Inappropriate ioctl for device)\n'],
    ['fsync /dev/pmem1', 0, 'fsync /dev/pmem1 = 0\n'],
    ['seekend /dev/pmem1', 0, 'seekend /dev/pmem1 = 67108864\n'],
    ['jump /dev/pmem1', 1, "probe: expected one of mmap, pread, pwrite, fsync, open, seekend, ioctl-size, discard, secdiscard, zeroout, and a file\nTry 'probe --help' for more information.\n"],
    ['pread /dev/pmem1 zero 1', 1, "probe: 'zero': expected a number of bytes\nTry 'probe --help' for more information.\n"],
  ])('%s', async (call, status, out) => expect(await run(`probe ${call}`)).toEqual({ status, out }));

  it('may not share a read-only disk that it could write to', async () => {
    const { out } = await run('blockdev --setro /dev/pmem1', 'probe mmap /dev/pmem1 0 4096 shared w');
    expect(out).toBe('mmap /dev/pmem1 0 4096 shared w = -1 EINVAL (Invalid argument)\n');
  });

  it('opens a read-only disk for writing, and is refused when it writes', async () => {
    const { out } = await run('blockdev --setro /dev/pmem1', 'probe open /dev/pmem1 rw', 'probe pwrite /dev/pmem1 0 4096 direct', 'probe zeroout /dev/pmem1 0 4096');
    expect(out).toContain('open /dev/pmem1 rw = 0\n');
    expect(out.match(/-1 EPERM/g)).toHaveLength(2);
  });

  it('leaves a device closed behind it', async () => {
    const { out } = await run('probe pwrite /dev/pmem1 0 4096', 'blkdiscard /dev/pmem1');
    expect(out).toContain('BLKDISCARD failed: Operation not supported');
  });

  it.each([
    ['blkdiscard /dev/dax0.0', '/dev/dax0.0: not a block device'],
    ['blkdiscard -s /dev/pmem1', '/dev/pmem1: BLKSECDISCARD failed: Operation not supported'],
    ['blkdiscard -z -o 100 /dev/pmem1', '/dev/pmem1: offset 100 is not aligned to sector size 512'],
    ['blkdiscard -z -o 1T /dev/pmem1', '/dev/pmem1: offset is greater than device size'],
    ['blkdiscard -z -l 100 /dev/pmem1', '/dev/pmem1: length 100 is not aligned to sector size 512'],
  ])('%s', async (line, why) => expect(await run(line)).toMatchObject({ status: 1, out: `blkdiscard: ${why}\n` }));

  it('finds nobody behind a device that no driver lets be mapped', async () => {
    const { out } = await run('daxctl disable-device dax0.0', 'probe mmap /dev/dax0.0 0 2097152 shared');
    expect(out).toContain('= -1 ENXIO (No such device or address)');
  });
});

it('what an attribute refuses, it refuses to read(2), and not to open(2)', async () => {
  const size = '/sys/bus/nd/devices/region1/btt1.0/size';
  expect(await run(`cat ${size}`, `dd if=${size}`)).toEqual({
    status: 1, out: `cat: read error: No such device or address\ndd: ${size}: No such device or address\n`,
  });
});

it('blockdev --setra is what --getra then says', async () => {
  expect(await run('blockdev --setbsz 512 --setra 64 /dev/pmem1', 'blockdev --getra /dev/pmem1')).toEqual({ status: 0, out: '64\n' });
});
