/** File systems as the console's user meets them; what is left on the device is checked by e2fsprogs, where they are installed. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type System, bootFromOptions, createCommandRunner } from '@holdfast/cli';
import { type BlockDeviceFile, type BlockOpenOptions, type DiskPatch, encodeGpt, encodeMbr } from '@holdfast/block';
import { resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';

interface Answer {
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: readonly string[];
  readonly dmesg: readonly string[];
}

const E2FSCK = ['/usr/sbin/e2fsck', '-fn'];
const XFS_REPAIR = ['/usr/sbin/xfs_repair', '-n'];

async function machine(size = '64M'): Promise<{ system: System; sh(line: string): Promise<Answer> }> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: [`size=${size}`] });
  const runner = createCommandRunner(system);
  return {
    system,
    async sh(line) {
      await runner.run(line);
      const { rc = 0, stdout = '', stderr = [], dmesg = [] } = runner.records.at(-1) as Partial<Answer>;
      return { rc, stdout, stderr, dmesg };
    },
  };
}

function openDisk(system: System, device: string, options?: BlockOpenOptions): BlockDeviceFile {
  const { node } = resolvePath(system.root, device);
  if (node.kind !== 'block') throw new Error(`${device} is no block device`);
  return node.open(options);
}

/** What a checker says to the device's bytes: 0 is clean; and where there is none. */
function fsck(system: System, [program, ...args]: readonly string[] = E2FSCK, device = '/dev/pmem0'): number | null {
  if (!existsSync(program!)) return 0;
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-fsck-'));
  const path = join(folder, 'image');
  const fd = openSync(path, 'w');
  const file = openDisk(system, device, { direct: true }); // past the page cache, which would make memory for each page
  try {
    const [piece, zeros] = [new Uint8Array(2 ** 20), new Uint8Array(2 ** 20)];
    for (let at = 0; at < file.sizeBytes; at += piece.length) {
      const count = file.pread(piece, at);
      if (Buffer.compare(piece, zeros) !== 0) writeSync(fd, piece, 0, count, at);
    }
    ftruncateSync(fd, file.sizeBytes);
    const { status, stdout } = spawnSync(program!, [...args, path], { encoding: 'utf8' });
    if (status !== 0) console.error(stdout);
    return status;
  } finally {
    file.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

/** Make the sum of an XFS structure right: CRC-32C of it with four zeros in the sum's place. */
function sealXfs(bytes: Uint8Array, at: number): void {
  let crc = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) {
    crc ^= i >= at && i < at + 4 ? 0 : bytes[i]!;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  new DataView(bytes.buffer, bytes.byteOffset, bytes.length).setUint32(at, ~crc >>> 0, true);
}

const MAKES: readonly { name: string; make: string; size?: string; checker?: readonly string[] }[] = [
  { name: 'ext4', make: 'mkfs.ext4 -q -F /dev/pmem0' },
  { name: 'ext4 with blocks of 4 KiB', make: 'mkfs.ext4 -q -F -b 4096 /dev/pmem0' },
  { name: 'ext2', make: 'mkfs.ext2 -q -F /dev/pmem0' },
  { name: 'ext2 with blocks of 4 KiB', make: 'mkfs.ext2 -q -F -b 4096 /dev/pmem0' },
  { name: 'XFS', make: 'mkfs.xfs -q -f /dev/pmem0', size: '320M', checker: XFS_REPAIR },
];

describe.each(MAKES)('a file on $name', ({ make, size, checker }) => {
  it('is there at the next mount, and the checker minds nothing', async () => {
    const { system, sh } = await machine(size);
    await sh(make);
    expect(await sh('mount /dev/pmem0 /mnt')).toMatchObject({ rc: 0 });
    await sh('dd if=/dev/zero of=/mnt/zeros bs=64k count=40');
    await sh('echo kept > /mnt/kept; mkdir /mnt/dir; echo inside > /mnt/dir/file; echo gone > /mnt/gone; rm /mnt/gone');
    await sh('echo more >> /mnt/kept');
    await sh('umount /mnt; mount /dev/pmem0 /mnt');
    expect((await sh('cat /mnt/kept /mnt/dir/file; ls /mnt')).stdout.split('\n')).toEqual(['kept', 'more', 'inside', 'dir', 'kept', ...(checker ? [] : ['lost+found']), 'zeros']);
    await sh('rm -r /mnt/dir /mnt/zeros; umount /mnt');
    expect(fsck(system, checker)).toBe(0);
  });

  it('that fsync returned for outlives the power', async () => {
    const { sh } = await machine(size);
    await sh(make);
    await sh('mount /dev/pmem0 /mnt; echo kept | dd of=/mnt/kept conv=fsync');
    await sh('powercut');
    expect(await sh('mount /dev/pmem0 /mnt; cat /mnt/kept')).toMatchObject({ rc: 0, stdout: 'kept' });
  });
});

describe('who uses a device', () => {
  it('keeps mkfs away while it is mounted, and umount while a file is open', async () => {
    const { sh } = await machine();
    await sh('mkfs.ext4 -q -F /dev/pmem0; mount /dev/pmem0 /mnt');
    expect(await sh('mkfs.ext4 -q -F /dev/pmem0')).toMatchObject({ rc: 1, stderr: ['/dev/pmem0 is mounted; will not make a filesystem here!'] });
    expect(await sh('mount /dev/pmem0 /mnt')).toMatchObject({ rc: 255, stderr: ['mount: mounting /dev/pmem0 on /mnt failed: Device or resource busy'] });
    expect(await sh('ndctl destroy-namespace -f namespace0.0')).toMatchObject({ rc: 240 });
    await sh('echo x > /mnt/x; exec 3<>/mnt/x');
    expect(await sh('umount /mnt')).toMatchObject({ rc: 1, stderr: ["umount: can't unmount /mnt: Device or resource busy"] });
    await sh('exec 3>&-');
    expect(await sh('umount /mnt')).toMatchObject({ rc: 0, dmesg: ['EXT4-fs (pmem0): unmounting filesystem.'] });
    expect(await sh('umount /mnt')).toMatchObject({ rc: 1, stderr: ["umount: can't unmount /mnt: Invalid argument"] });
  });

  it('may mount it twice, and remount it read-only', async () => {
    const { sh } = await machine();
    await sh('mkfs.ext4 -q -F /dev/pmem0; mkdir /mnt2; mount /dev/pmem0 /mnt; mount /dev/pmem0 /mnt2; echo x > /mnt/x');
    expect((await sh('cat /mnt2/x; umount /mnt; cat /mnt2/x; grep -c pmem0 /proc/mounts')).stdout.split('\n')).toEqual(['x', 'x', '1']);
    expect(await sh('mount -o remount,ro /mnt2')).toMatchObject({ rc: 0, dmesg: ['EXT4-fs (pmem0): re-mounted. Quota mode: none.'] });
    expect(await sh('echo y > /mnt2/y')).toMatchObject({ rc: 1, stderr: ["sh: can't create /mnt2/y: Read-only file system"] });
  });

  it.each([['ext4', 'mkfs.ext4 -q -F'], ['xfs', 'mkfs.xfs -q -f']])('with -o sync on %s keeps each write over a power cut, and says so', async (type, mkfs) => {
    const { system, sh } = await machine('320M');
    await sh(`${mkfs} /dev/pmem0; mount -t ${type} /dev/pmem0 /mnt; echo old > /mnt/x; umount /mnt; mount -t ${type} -o sync /dev/pmem0 /mnt`);
    expect((await sh('grep /mnt /proc/mounts')).stdout).toMatch(/ rw,sync,relatime/);
    await sh('echo new > /mnt/x');
    system.powercut(1);
    expect((await sh(`mount -t ${type} /dev/pmem0 /mnt; cat /mnt/x`)).stdout).toBe('new');
    expect((await sh('mount -o remount,async /mnt; grep /mnt /proc/mounts')).stdout).toMatch(/ rw,relatime/);
  });

  it.each([['ext4', 'mkfs.ext4 -q -F -b 4096', 8, 8208], ['xfs', 'mkfs.xfs -q -f -m reflink=0', 4, 4096]])('takes %s on a BTT of 512-byte sectors, and counts its blocks as a real Linux did', async (type, mkfs, mib, total) => {
    const { system, sh } = await machine('1040M');
    await sh(`ndctl create-namespace -f -e namespace0.0 -m sector -l 512; ${mkfs} /dev/pmem0s; mount -t ${type} /dev/pmem0s /mnt`);
    expect((await sh(`dd if=/dev/zero of=/mnt/f bs=1M count=${mib}; ls -l /mnt`)).stdout.split('\n')[0]).toBe(`total ${total}`);
    await sh('echo kept | dd of=/mnt/kept conv=fsync');
    system.powercut(3);
    expect((await sh(`mount -t ${type} /dev/pmem0s /mnt; cat /mnt/kept`)).stdout).toBe('kept');
  });

  it.each([['ext4', 'mkfs.ext4 -q -F', 'EXT4-fs', /,discard/], ['xfs', 'mkfs.xfs -q -f', 'XFS', /^(?!.*discard)/]])('says on %s that the device discards nothing', async (type, mkfs, who, shown) => {
    const { sh } = await machine('320M');
    const { dmesg } = await sh(`${mkfs} /dev/pmem0; mount -t ${type} -o discard /dev/pmem0 /mnt`);
    expect(dmesg).toContain(`${who} (pmem0): mounting with "discard" option, but the device does not support discard`);
    expect((await sh('grep /mnt /proc/mounts')).stdout).toMatch(shown);
  });

  it.each<[string, string, string[], string]>([
    ['', 'noload', ['mounted filesystem without journal. Quota mode: none.'], 'rw,relatime,norecovery'],
    ['', 'resuid=5,max_batch_time=0,inode_readahead_blks=16,nouid32,init_itable=3', ['mounted filesystem with ordered data mode. Quota mode: none.'], 'rw,relatime,nouid32,resuid=5,max_batch_time=0,inode_readahead_blks=16,init_itable=3'],
    ['', 'journal_async_commit', ["can't mount with journal_async_commit in data=ordered mode"], ''],
    ['-O ^has_journal', 'journal_async_commit', ["can't mount with journal_async_commit, fs mounted w/o journal"], ''],
    ['-O ^has_journal', 'commit=30', ["can't mount with commit=30, fs mounted w/o journal"], ''],
    ['-O ^has_journal', 'data=writeback', ["can't mount with data=, fs mounted w/o journal"], ''],
  ])('mounts an ext4 made with \'%s\' and -o %s as a 6.1 does', async (features, option, log, shown) => {
    const { sh } = await machine();
    await sh(`mkfs.ext4 -q -F -b 4096 ${features} /dev/pmem0`);
    const { rc, dmesg } = await sh(`mount -t ext4 -o ${option} /dev/pmem0 /mnt`);
    expect([rc, dmesg]).toEqual([shown === '' ? 255 : 0, log.map((text) => `EXT4-fs (pmem0): ${text}`)]);
    expect((await sh('grep /mnt /proc/mounts')).stdout?.split(' ')[3] ?? '').toBe(shown);
  });

  it('tells of removed options, of small blocks without locks, and of timestamps that end', async () => {
    const { sh } = await machine();
    expect((await sh('mkfs.ext2 -q -F -b 4096 -I 128 /dev/pmem0')).stdout).toBe('128-byte inodes cannot handle dates beyond 2038 and are deprecated');
    expect((await sh('mount -t ext4 -o i_version /dev/pmem0 /mnt')).dmesg).toEqual([
      'EXT4-fs: Ignoring removed i_version option', 'EXT4-fs (pmem0): mounted filesystem without journal. Quota mode: none.',
      'ext4 filesystem being mounted at /mnt supports timestamps until 2038-01-19 (0x7fffffff)',
    ]);
    await sh('umount /mnt; mkfs.ext4 -q -F -b 1024 /dev/pmem0');
    expect((await sh('mount -t ext4 -o dioread_nolock /dev/pmem0 /mnt')).dmesg).toContain(
      "EXT4-fs: Warning: mounting with an experimental mount option 'dioread_nolock' for blocksize < PAGE_SIZE",
    );
  });

  it('journals data without delayed allocation and lockless reads, but not that of encrypted files', async () => {
    const { sh } = await machine();
    expect(await sh('mkfs.ext4 -q -F -b 4096 -O ^extents /dev/pmem0')).toMatchObject({ rc: 1, stdout: 'Extents MUST be enabled for a 64-bit filesystem.  Pass -O extents to rectify.' });
    await sh('mkfs.ext4 -q -F -b 4096 -O encrypt /dev/pmem0');
    expect((await sh('mount -t ext4 -o data=journal /dev/pmem0 /mnt')).dmesg?.slice(1)).toEqual([
      'EXT4-fs (pmem0): encrypted files will use data=ordered instead of data journaling mode',
      'EXT4-fs (pmem0): mounted filesystem with journalled data mode. Quota mode: none.',
    ]);
    expect((await sh('grep /mnt /proc/mounts')).stdout).toBe('/dev/pmem0 /mnt ext4 rw,relatime,nodioread_nolock,nodelalloc,data=journal 0 0');
  });

  it('reads an XFS without recovery only where it cannot be written', async () => {
    const { sh } = await machine('320M');
    await sh('mkfs.xfs -q -f /dev/pmem0');
    expect(await sh('mount -o norecovery /dev/pmem0 /mnt')).toMatchObject({ rc: 255, dmesg: ['XFS (pmem0): no-recovery mounts must be read-only.'] });
    expect(await sh('mount -o ro,norecovery /dev/pmem0 /mnt')).toMatchObject({ rc: 0, dmesg: ['XFS (pmem0): Mounting V5 filesystem in no-recovery mode. Filesystem will be inconsistent.'] });
  });

  it('hears what does not fit', async () => {
    const { sh } = await machine();
    await sh('mkfs.ext4 -q -F /dev/pmem0');
    const noDevice = { rc: 255, stderr: ['mount: mounting /dev/pmem7 on /mnt failed: No such file or directory'], dmesg: ["/dev/pmem7: Can't open blockdev"] };
    expect(await sh('mount -t ext4 /dev/pmem7 /mnt')).toMatchObject(noDevice);
    expect(await sh('mount -t ext4 -o nonsense /dev/pmem7 /mnt')).toMatchObject({ rc: 255, dmesg: ["ext4: Unknown parameter 'nonsense'"] });
    expect(await sh('mount /dev/pmem0 /nowhere')).toMatchObject({ rc: 255, stderr: ['mount: mounting /dev/pmem0 on /nowhere failed: No such file or directory'] });
    expect(await sh('mount -t nofs /dev/pmem0 /mnt')).toMatchObject({ rc: 255, stderr: ['mount: mounting /dev/pmem0 on /mnt failed: No such device'] });
    expect(await sh('mount -t ext2 /dev/pmem0 /mnt')).toMatchObject({ rc: 255 });
    expect(await sh('mount -t ext4 -o nonsense /dev/pmem0 /mnt')).toMatchObject({ rc: 255, dmesg: ["ext4: Unknown parameter 'nonsense'"] });
    expect(await sh('dd if=/dev/zero of=/dev/pmem0 bs=4096 count=2; mount -t ext4 /dev/pmem0 /mnt')).toMatchObject({ rc: 255 });
  });
});

const LINUX_DATA = '0fc63daf-8483-4772-8e79-3d69d8477de4';

/** Write a partition table, and let the driver look at the disk anew. `partitions`: first sector and number of sectors, of 512 bytes. */
async function partition({ system, sh }: Awaited<ReturnType<typeof machine>>, kind: 'MBR' | 'GPT', partitions: readonly (readonly [start: number, count: number])[]): Promise<void> {
  const disk = openDisk(system, '/dev/pmem0');
  const sector = new Uint8Array(512);
  encodeMbr(sector, partitions.map(([start, count]) => ({ type: 0x83, start, count })), 0x1234_5678);
  const gpt = (): DiskPatch => encodeGpt({
    nrSectors: disk.sizeBytes / 512,
    diskGuid: '6a3f3a2c-0c1d-4a51-9d57-2a5c1f0e7b11',
    partitions: partitions.map(([start, count], index) => ({ type: LINUX_DATA, unique: `6a3f3a2c-0c1d-4a51-9d57-2a5c1f0e7c0${index}`, start, end: start + count - 1 })),
  });
  for (const { offset, data } of kind === 'MBR' ? [{ offset: 0, data: sector }] : gpt()) disk.pwrite(data, offset);
  disk.close();
  await sh('sync; echo namespace0.0 > /sys/bus/nd/drivers/nd_pmem/unbind; echo namespace0.0 > /sys/bus/nd/drivers/nd_pmem/bind');
}

describe('on a partition', () => {
  it.each(MAKES.map((each, index) => ({ ...each, table: index % 2 === 0 ? 'GPT' as const : 'MBR' as const })))('($table) $name keeps what was fsynced, and touches no neighbour', async ({ make, table, size = '64M', checker }) => {
    const box = await machine(size);
    const sectors = parseInt(size) * 2048;
    await partition(box, table, [[2048, sectors - 6144], [sectors - 4096, 512]]);
    const neighbour = openDisk(box.system, '/dev/pmem0p2');
    neighbour.pwrite(new Uint8Array(neighbour.sizeBytes).fill(0xa5), 0);
    neighbour.flushBuffers();
    expect(await box.sh(`${make.replace('/dev/pmem0', '/dev/pmem0p1')}; mount /dev/pmem0p1 /mnt`)).toMatchObject({ rc: 0 });
    await box.sh('dd if=/dev/zero of=/mnt/zeros bs=64k count=40; echo kept | dd of=/mnt/kept conv=fsync');
    box.system.powercut(7);
    expect(await box.sh('mount /dev/pmem0p1 /mnt; cat /mnt/kept')).toMatchObject({ rc: 0, stdout: 'kept' });
    await box.sh('rm /mnt/kept; umount /mnt');
    expect(fsck(box.system, checker, '/dev/pmem0p1')).toBe(0);
    const left = new Uint8Array(512 * 512);
    openDisk(box.system, '/dev/pmem0p2').pread(left, 0);
    expect(left.every((byte) => byte === 0xa5)).toBe(true);
  });

  it('DAX needs it to begin and end at a page', async () => {
    const box = await machine('80M');
    await box.sh('ndctl create-namespace -f -e namespace0.0 -m fsdax -M mem -a 4K');
    await partition(box, 'MBR', [[2048, 65536], [67591, 65536]]);
    await box.sh('mkfs.ext4 -q -F -b 4096 /dev/pmem0p1; mkfs.ext4 -q -F -b 4096 /dev/pmem0p2; mkdir /mnt2');
    expect(await box.sh('mount -o dax /dev/pmem0p1 /mnt')).toMatchObject({ rc: 0 });
    expect(await box.sh('mount -o dax /dev/pmem0p2 /mnt2')).toMatchObject({ rc: 255, dmesg: expect.arrayContaining(['pmem0p2: error: unaligned partition for dax']) as string[] });
  });
});

describe('with -o dax', () => {
  it('says the word with a value to ext4 only, and not to ext2', async () => {
    const { sh } = await machine();
    await sh('ndctl create-namespace -f -e namespace0.0 -m fsdax -M mem -a 4K; mkfs.ext2 -q -F -b 4096 /dev/pmem0');
    expect(await sh('mount -t ext2 -o dax=always /dev/pmem0 /mnt')).toMatchObject({ rc: 255, dmesg: ['EXT4-fs: Mount option(s) incompatible with ext2'] });
    expect(await sh('mount -t ext2 -o dax /dev/pmem0 /mnt')).toMatchObject({ rc: 0 });
  });

  it('a file’s stores are on the device, and the flag of a directory is inherited with dax=inode', async () => {
    const { system, sh } = await machine('64M');
    await sh('ndctl create-namespace -f -e namespace0.0 -m fsdax -M mem -a 4K; mkfs.ext4 -q -F -b 4096 /dev/pmem0');
    await sh("mount -o dax=inode /dev/pmem0 /mnt; mkdir /mnt/d; xfs_io -c 'chattr +x' /mnt/d; dd if=/dev/zero of=/mnt/d/f bs=1M count=2; dd if=/dev/zero of=/mnt/g bs=64k count=1");
    await sh('umount /mnt; mount -o dax=inode /dev/pmem0 /mnt');
    expect((await sh("xfs_io -c 'statx -r' /mnt/d/f | grep 'attributes ='")).stdout).toBe('stat.attributes = 0x200000');
    expect((await sh("xfs_io -c 'statx -r' /mnt/g | grep 'attributes ='")).stdout).toBe('stat.attributes = 0x0');
    expect((await sh('probe mmap /mnt/d/f 0 2097152 sync w')).stdout).toMatch(/va-mod-2M=0x0 touch=ok$/);
    expect((await sh('probe pwrite /mnt/d/f 100 512 direct')).rc).toBe(0);
    await sh('umount /mnt');
    expect(fsck(system)).toBe(0);
  });
});

it('files hold what was written to them, whatever was written, cut and read back in between', async () => {
  const { system, sh } = await machine('16M');
  await sh('mkfs.ext4 -q -F /dev/pmem0; mount /dev/pmem0 /mnt');
  const open = (name: string) => {
    const { node: dir } = resolvePath(system.root, '/mnt');
    if (dir.kind !== 'dir') throw new Error('/mnt is no directory');
    const node = dir.lookup(name) ?? dir.create!(name, 0o644);
    if (node.kind !== 'regular') throw new Error(`${name} is no file`);
    return node.open({ write: true });
  };
  const models = new Map<string, Uint8Array>();
  const step = fc.record({ name: fc.constantFrom('a', 'b'), what: fc.constantFrom('write', 'write', 'write', 'truncate', 'fsync'), at: fc.nat(40_000), length: fc.integer({ min: 1, max: 9000 }), value: fc.integer({ min: 1, max: 255 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
    for (const { name, what, at, length, value } of steps) {
      const file = open(name);
      const before = models.get(name) ?? new Uint8Array(0);
      const size = what === 'write' ? Math.max(before.length, at + length) : what === 'truncate' ? at : before.length;
      const model = new Uint8Array(size);
      model.set(before.subarray(0, size));
      if (what === 'write') {
        model.fill(value, at, at + length);
        expect(file.pwrite(new Uint8Array(length).fill(value), at)).toBe(length);
      } else if (what === 'truncate') file.truncate(at);
      else file.fsync();
      models.set(name, model);
      const back = new Uint8Array(size + 10);
      expect(file.pread(back, 0)).toBe(size);
      expect(Buffer.compare(back.subarray(0, size), model)).toBe(0);
      file.close();
    }
  }), { numRuns: 20 });
  await sh('umount /mnt');
  expect(fsck(system)).toBe(0);
});

it.each([
  { name: 'ext4', size: '16M', make: 'mkfs.ext4 -q -F /dev/pmem0', from: 1024, to: 2047 },
  { name: 'XFS', size: '300M', make: 'mkfs.xfs -q -f /dev/pmem0', from: 0, to: 300 },
])('bytes of anybody in place of $name are refused, or mounted: never more', async ({ name, size, make, from, to }) => {
  const { system, sh } = await machine(size);
  const { node } = resolvePath(system.root, '/dev/pmem0');
  if (node.kind !== 'block') throw new Error('no disk');
  await sh(make);
  const whole = new Uint8Array(2 ** 18);
  const first = node.open();
  first.pread(whole, 0);
  first.close();
  const { mounts, root } = system.kernel!;
  const anyChange = fc.tuple(fc.oneof(fc.integer({ min: from, max: to }), fc.nat(whole.length - 1)), fc.integer({ min: 0, max: 255 }));
  fc.assert(fc.property(fc.array(anyChange, { minLength: 1, maxLength: 6 }), (changes) => {
    const bytes = whole.slice();
    for (const [at, value] of changes) bytes[at] = value;
    // Sums would refuse it all: ext4 does without them, those of XFS are made right.
    if (name === 'ext4') new DataView(bytes.buffer).setUint32(1024 + 0x64, new DataView(bytes.buffer).getUint32(1024 + 0x64, true) & ~0x400, true);
    else for (const [at, length, crcAt] of [[0, 4096, 0xe0], [4096, 4096, 0xd8], [8192, 4096, 0x138], [12288, 4096, 0x20], [65536, 512, 0x64]] as const) sealXfs(bytes.subarray(at, at + length), crcAt);
    const file = node.open();
    file.pwrite(bytes, 0);
    file.close();
    try {
      mounts.mount({ source: '/dev/pmem0', target: '/mnt', type: name.toLowerCase() });
      try {
        const dir = resolvePath(root, '/mnt').node;
        if (dir.kind === 'dir') for (const each of dir.list()) dir.lookup(each);
      } finally {
        mounts.umount('/mnt');
      }
    } catch (error) {
      expect(error).toBeInstanceOf(KernelError);
    }
  }), { numRuns: 40 });
});

describe('XFS with dax=always', () => {
  it('has DAX files where the device has pages, and xfs_repair minds nothing', async () => {
    const { system, sh } = await machine('320M');
    await sh('mkfs.xfs -q -f /dev/pmem0');
    expect((await sh('mount -o dax=always /dev/pmem0 /mnt')).dmesg).toEqual(['XFS (pmem0): DAX enabled. Warning: EXPERIMENTAL, use at your own risk', 'XFS (pmem0): Mounting V5 Filesystem', 'XFS (pmem0): Ending clean mount']);
    await sh('dd if=/dev/zero of=/mnt/f bs=1M count=4');
    expect((await sh('probe mmap /mnt/f 0 2097152 sync w')).stdout).toMatch(/va-mod-2M=0x0 touch=ok$/);
    expect((await sh('lsblk -no MOUNTPOINT /dev/pmem0')).stdout.trim()).toBe('/mnt');
    await sh('umount /mnt');
    expect(fsck(system, XFS_REPAIR)).toBe(0);
  });
});

describe('/dev', () => {
  it('takes files, which hide a device that comes later, and are gone at the next boot', async () => {
    const { system, sh } = await machine();
    const used = async (): Promise<string> => (await sh("df /dev | tail -n 1")).stdout.split(/ +/)[2]!;
    expect(await used()).toBe('0');
    await sh('ndctl disable-namespace namespace0.0; echo hello > /dev/pmem0');
    expect(await used()).toBe('4');
    expect((await sh('cat /dev/pmem0; ndctl enable-namespace namespace0.0; cat /dev/pmem0')).stdout.split('\n').filter((line) => line === 'hello')).toHaveLength(2);
    expect(await sh('rm /dev/pmem0; ls -l /dev/pmem0')).toMatchObject({ rc: 0, stdout: expect.stringMatching(/^b/) as string });
    await sh('ndctl disable-namespace namespace0.0; echo hello > /dev/pmem0');
    system.powercut(1);
    expect((await sh('ls -l /dev/pmem0')).stdout).toMatch(/^b/);
    expect(await sh('mkdir /dev/pmem0')).toMatchObject({ rc: 1, stderr: ["mkdir: can't create directory '/dev/pmem0': File exists"] });
  });
});
