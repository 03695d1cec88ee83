/** stat, df, mountpoint, blkid, dumpe2fs and blockdev --rereadpt, on real file systems; blkid and dumpe2fs against their real ones. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-tools-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Said {
  readonly rc: number;
  readonly out: string;
  readonly err: readonly string[];
}

/** What each command said, on a machine with 64 MiB of pmem in an image. */
async function run(commands: readonly string[], image?: string): Promise<Said[]> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: [`size=64M${image === undefined ? '' : `,image=${image}`}`] });
  try {
    const runner = createCommandRunner(system);
    for (const command of commands) await runner.run(command);
    return (runner.records as CommandRecord[]).map(({ rc, stdout, stderr }) => ({ rc, out: stdout as string, err: stderr }));
  } finally {
    system.close();
  }
}

const MAKE_1K = 'mkfs.ext4 -q -F /dev/pmem0 2> /dev/null; mount -t ext4 /dev/pmem0 /mnt';
const MAKE_4K = 'mkfs.ext4 -q -F -b 4096 /dev/pmem0; mount -t ext4 /dev/pmem0 /mnt; dd if=/dev/zero of=/mnt/f bs=1M count=3 2> /dev/null; sync';

/** As captured from a real 6.1 on such a disk. */
describe('as a real 6.1 and busybox say', () => {
  it.each<[string, string, string]>([
    [MAKE_1K, 'df /mnt', 'Filesystem           1K-blocks      Used Available Use% Mounted on\n/dev/pmem0               56037        14     51437   0% /mnt'],
    [MAKE_1K, 'df -h /mnt', 'Filesystem                Size      Used Available Use% Mounted on\n/dev/pmem0               54.7M     14.0K     50.2M   0% /mnt'],
    [MAKE_1K, 'df -T /dev/pmem0', 'Filesystem           Type       1K-blocks      Used Available Use% Mounted on\n/dev/pmem0           ext4           56037        14     51437   0% /mnt'],
    [MAKE_1K, 'df -i /mnt', 'Filesystem              Inodes      Used Available Use% Mounted on\n/dev/pmem0               16384        11     16373   0% /mnt'],
    [MAKE_1K, 'df -P /mnt', 'Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/pmem0               56037        14     51437   0% /mnt'],
    [MAKE_1K, 'df -m /mnt', 'Filesystem           1M-blocks      Used Available Use% Mounted on\n/dev/pmem0                  55         0        50   0% /mnt'],
    [MAKE_1K, "stat -f -c '%n %l %t %T %s %S %b %f %a %c %d' /mnt", '/mnt 255 ef53 ext2/ext3 1024 1024 56037 56023 51437 16384 16373'],
    [MAKE_1K, "stat -c '%n %s %b %B %o %h %i %f %F %A %t %T' /mnt /mnt/lost+found", '/mnt 1024 2 512 1024 3 2 41ed directory drwxr-xr-x 0 0\n/mnt/lost+found 12288 24 512 1024 2 11 41c0 directory drwx------ 0 0'],
    [MAKE_1K, 'stat -c %d /mnt', '66304'],
    [MAKE_1K, 'mountpoint -d /mnt', '259:0'],
    [MAKE_4K, 'df /mnt', 'Filesystem           1K-blocks      Used Available Use% Mounted on\n/dev/pmem0               57300      3096     49620   6% /mnt'],
    [MAKE_4K, 'stat -f /mnt | grep -v ID', '  File: "/mnt"\nBlock size: 4096      \nBlocks: Total: 14325      Free: 13551      Available: 12405\nInodes: Total: 16384      Free: 16372'],
    [MAKE_4K, "stat -c '%n %s %b %B %o %h %i %f %F %A' /mnt/f", '/mnt/f 3145728 6144 512 4096 1 12 81a4 regular file -rw-r--r--'],
    ['mkfs.ext2 -q -F /dev/pmem0 2> /dev/null; mount -t ext2 /dev/pmem0 /mnt', 'stat -f -c "%b %f %a" /mnt', '60138 60124 56848'],
    ['true', "stat -c '%n %s %F %a %t %T' /dev/pmem0 /sys /sys/block/pmem0 /sys/block/pmem0/size", '/dev/pmem0 0 block special file 600 103 0\n/sys 0 directory 555 0 0\n/sys/block/pmem0 0 symbolic link 777 0 0\n/sys/block/pmem0/size 4096 regular file 444 0 0'],
    ['true', 'stat -f -c "%T %b %i" /proc /sys', 'proc 0 0\nsysfs 0 0'],
    ['true', 'mountpoint -x /dev/pmem0', '259:0'],
    ['true', 'ls -l /dev/pmem0', 'brw-------    1 0        0         259,   0 Jan  1  1970 /dev/pmem0'],
  ])('%s; %s', async (before, command, out) => {
    expect((await run([before, command])).at(-1)).toEqual({ rc: 0, out, err: [] });
  });
});

it.each<[string, number, string, string[]]>([
  ['stat /nope', 1, '', ["stat: can't stat '/nope': No such file or directory"]],
  ['df /mnt', 1, 'Filesystem           1K-blocks      Used Available Use% Mounted on', ["df: /mnt: can't find mount point"]],
  ['mountpoint -d /mnt', 1, '0:2', []],
  ['mountpoint -x /proc/cmdline', 1, '', ['mountpoint: /proc/cmdline']],
  ['blkid', 2, '', []],
  ['blkid /dev/nope', 2, '', []],
  ['blkid -o nice', 1, '', ['blkid: unsupported output format nice', "Try 'blkid --help' for more information."]],
  ['dumpe2fs -h /dev/pmem0', 1, "Couldn't find valid filesystem superblock.", ['dumpe2fs 1.47.0 (5-Feb-2023)', 'dumpe2fs: Bad magic number in super-block while trying to open /dev/pmem0']],
  ['blockdev --rereadpt /dev/pmem0', 0, '', []],
  ['blockdev --rereadpt /dev/nothing', 1, '', ["blockdev: can't open '/dev/nothing': No such file or directory"]],
])('%s', async (command, rc, out, err) => {
  expect(await run([command])).toEqual([{ rc, out, err }]);
});

it('finds partitions that were written, and not while somebody holds the disk', async () => {
  // One partition of type 0x83 from sector 2048 on, 4096 sectors.
  const entry = String.raw`\x00\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00\x00\x10\x00\x00`;
  const [, , , found, named, gone] = await run([
    String.raw`printf '\x78\x56\x34\x12' | dd of=/dev/pmem0 bs=1 seek=440 conv=notrunc`, `printf '${entry}' | dd of=/dev/pmem0 bs=1 seek=446 conv=notrunc`,
    String.raw`printf '\x55\xaa' | dd of=/dev/pmem0 bs=1 seek=510 conv=notrunc; blockdev --rereadpt /dev/pmem0`,
    'cat /sys/block/pmem0/pmem0p1/start /sys/block/pmem0/pmem0p1/size', 'blkid /dev/pmem0 /dev/pmem0p1',
    'dd if=/dev/zero of=/dev/pmem0 bs=512 count=1 2> /dev/null; blockdev --rereadpt /dev/pmem0; ls /dev/pmem0p1',
  ]);
  expect(found!.out).toBe('2048\n4096');
  expect(named!.out).toBe('/dev/pmem0: PTUUID="12345678" PTTYPE="dos"\n/dev/pmem0p1: PARTUUID="12345678-01"');
  expect(gone!.err).toEqual(['ls: /dev/pmem0p1: No such file or directory']);
  const held = await run([MAKE_1K, 'blockdev --rereadpt /dev/pmem0', 'mkfs.ext4 -q -F /dev/pmem0']);
  expect(held[1]).toEqual({ rc: 1, out: '', err: ['blockdev: /dev/pmem0: Device or resource busy'] });
});

it('numbers partitions anew while their predecessors still have their numbers, and says which of them are too small', async () => {
  // One partition of type 0x83 from sector 2048 on, of 8 sectors.
  const entry = String.raw`\x00\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00\x08\x00\x00\x00`;
  const said = await run([
    `printf '${entry}' | dd of=/dev/pmem0 bs=1 seek=446 conv=notrunc; ${String.raw`printf '\x55\xaa' | dd of=/dev/pmem0 bs=1 seek=510 conv=notrunc`}`,
    ...[1, 2, 3].map(() => 'blockdev --rereadpt /dev/pmem0; cat /sys/block/pmem0/pmem0p1/dev'),
    'mkswap /dev/pmem0p1', 'swapon /dev/pmem0p1', 'mkfs.ext4 -q -F /dev/pmem0p1 2>&1 | tail -n 1', 'mkfs.xfs -q -f /dev/pmem0p1 2>&1 | head -n 1', 'mount -t xfs /dev/pmem0p1 /mnt', 'mkswap /dev/pmem0p2',
  ]);
  expect(said.slice(1, 4).map(({ out }) => out)).toEqual(['259:1', '259:2', '259:1']);
  expect(said.slice(4).map(({ out, err }) => [...err, out].join())).toEqual([
    'mkswap: image is too small,', 'swapon: /dev/pmem0p1: Invalid argument,', '/dev/pmem0p1: Not enough space to build proposed filesystem while setting up superblock', 'size 1 of data subvolume is too small, minimum 4096 blocks',
    'mount: mounting /dev/pmem0p1 on /mnt failed: Invalid argument,', "mkswap: can't open '/dev/pmem0p2': No such file or directory,",
  ]);
});

const MEDIA: readonly [string, string][] = [
  ['ext4', 'mkfs.ext4 -q -F -L data /dev/pmem0'],
  ['ext4 of 4 KiB blocks without a journal', 'mkfs.ext4 -q -F -b 4096 -O ^has_journal,^metadata_csum /dev/pmem0'],
  ['ext2', 'mkfs.ext2 -q -F /dev/pmem0'],
  ['swap', 'mkswap -L fast /dev/pmem0'],
  ['nothing', 'true'],
];
/** Only root has these on its path. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, TZ: 'UTC' };
const hasReal = ['blkid', 'dumpe2fs'].every((name) => existsSync(`/usr/sbin/${name}`) || existsSync(`/sbin/${name}`));

describe.skipIf(!hasReal)('like the real ones: e2fsprogs and util-linux', () => {
  it.each(MEDIA)('of %s', async (name, make) => {
    const image = join(folder, `${name.replaceAll(' ', '-')}.img`);
    const forms = ['', '-p', '-o value', '-o export', '-p -o udev', '-s TYPE'];
    const said = await run([make, 'sync', ...forms.map((form) => `blkid ${form} /dev/pmem0`), 'dumpe2fs -h /dev/pmem0'], image);
    for (const [index, form] of forms.entries()) {
      const { status, stdout } = spawnSync('blkid', ['-c', '/dev/null', ...form.split(' ').filter((word) => word !== ''), image], { encoding: 'utf8', env });
      expect({ form, rc: said[index + 2]!.rc, out: said[index + 2]!.out.replaceAll('/dev/pmem0', image) }).toEqual({ form, rc: status, out: stdout.trimEnd() });
    }
    if (!name.startsWith('ext')) return;
    const real = execFileSync('dumpe2fs', ['-h', image], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env });
    expect(said.at(-1)!.out).toBe(real.trimEnd());
  });
});
