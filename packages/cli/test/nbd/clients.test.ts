/** Real clients against a real `holdfast nbd`: each kind of disk, no mocks. */
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type NbdProcess, startNbd } from './nbd-process.js';
import { missing, run } from './tool.js';

const MIB = 2 ** 20;

/** What the exports are, and what of it a client is told. */
const EXPORTS = [
  { name: 'pmem0', what: 'raw pmem', canTrim: false },
  { name: 'pmem1s', what: 'a BTT of 512-byte sectors', canTrim: false },
  { name: 'pmem2s', what: 'a BTT of 4096-byte sectors', canTrim: false },
  { name: 'pmem3', what: 'fsdax', canTrim: false },
  { name: 'sda', what: 'a disk with a write cache', canTrim: true },
] as const;

let server: NbdProcess;
const SOURCE_BYTES = 3 * MIB;
/** Noise, zeros, noise. */
let source: string;

beforeAll(async () => {
  server = await startNbd(
    [
      ...['16M', '32M', '32M', '32M'].flatMap((size) => ['--nvdimm', `size=${size}`]), '--disk', 'size=16M',
      '--run', 'ndctl create-namespace -f -e namespace1.0 -m sector -l 512',
      '--run', 'ndctl create-namespace -f -e namespace2.0 -m sector -l 4096',
      '--run', 'ndctl create-namespace -f -e namespace3.0 -m fsdax',
    ],
    EXPORTS.length,
  );
  source = join(server.folder, 'source.img');
  writeFileSync(source, Buffer.concat([randomBytes(MIB), Buffer.alloc(MIB), randomBytes(MIB)]));
}, 60_000);
afterAll(() => server.stop());

const path = (name: string): string => join(server.folder, name);

/** The first bytes of a copy are those of the source. */
function expectSource(file: string): void {
  expect(readFileSync(file).subarray(0, SOURCE_BYTES).equals(readFileSync(source))).toBe(true);
}

describe('nbdinfo', () => {
  const skip = missing('nbdinfo');

  it.skipIf(skip)(`--list names each export${skip}`, async () => {
    const list = await run('nbdinfo', '--list', server.uri());
    expect([...list.matchAll(/^export="(.*)":$/gm)].map(([, name]) => name).sort()).toEqual(EXPORTS.map(({ name }) => name));
  });

  it.skipIf(skip).each(EXPORTS)(`--json tells what $what can do${skip}`, async ({ name, canTrim }) => {
    const { protocol, exports } = JSON.parse(await run('nbdinfo', '--json', server.uri(name)));
    expect(protocol).toBe('newstyle-fixed');
    expect(exports).toMatchObject([{
      'export-name': name, contexts: ['base:allocation'], is_read_only: false, is_rotational: false,
      can_cache: true, can_df: true, can_fast_zero: true, can_flush: true, can_fua: true, can_multi_conn: true, can_trim: canTrim, can_zero: true,
      block_size_minimum: 1, block_size_preferred: 4096, block_size_maximum: 32 * MIB,
    }]);
  });

  it.skipIf(skip)(`--map shows a hole where nothing was written${skip}`, async () => {
    await run('qemu-io', '-f', 'raw', '-c', 'write -P 1 8M 4k', server.uri('sda'));
    const map = JSON.parse(await run('nbdinfo', '--map', '--json', server.uri('sda'))) as { offset: number; length: number; type: number }[];
    expect(map.find(({ offset, length }) => offset <= 8 * MIB && offset + length > 8 * MIB)?.type).toBe(0);
    expect(map.find(({ offset, length }) => offset <= 14 * MIB && offset + length > 14 * MIB)?.type).toBe(3);
  });
});

describe.each(EXPORTS)('$what', ({ name, canTrim }) => {
  const copying = missing('nbdcopy');
  it.skipIf(copying)(`nbdcopy brings the same bytes there and back, in each of its modes${copying}`, async () => {
    for (const mode of ['--connections=4', '--synchronous', '--connections=1 --requests=1', '--request-size=32768 --threads=2', '--flush', '--allocated']) {
      const options = mode.split(' ');
      await run('nbdcopy', ...options, source, server.uri(name));
      await run('nbdcopy', ...options, server.uri(name), path('copy.img'));
      expectSource(path('copy.img'));
    }
  });

  const img = missing('qemu-img');
  it.skipIf(img)(`qemu-img info, convert, compare, map and bench work${img}`, async () => {
    const { 'virtual-size': size } = JSON.parse(await run('qemu-img', 'info', '--output=json', '-f', 'raw', server.uri(name)));
    writeFileSync(path('whole.img'), Buffer.concat([readFileSync(source), Buffer.alloc(size - SOURCE_BYTES)]));
    await run('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', path('whole.img'), server.uri(name));
    expect(await run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', path('whole.img'), server.uri(name))).toBe('Images are identical.\n');
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', server.uri(name), path('copy.qcow2'));
    expect(await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', path('copy.qcow2'), server.uri(name))).toBe('Images are identical.\n');
    expect(statSync(path('copy.qcow2')).size).toBeLessThan(2 * SOURCE_BYTES);
    const map = JSON.parse(await run('qemu-img', 'map', '-f', 'raw', '--output=json', server.uri(name))) as { start: number; length: number }[];
    expect(map.at(-1)!.start + map.at(-1)!.length).toBe(size);
    await run('qemu-img', 'bench', '-f', 'raw', '-c', '500', '-d', '16', server.uri(name));
    await run('qemu-img', 'bench', '-f', 'raw', '-w', '-c', '500', '-d', '16', '--flush-interval=50', '--pattern=7', server.uri(name));
  });

  const io = missing('qemu-io');
  it.skipIf(io)(`qemu-io reads what it wrote, plain, with FUA, as zeros${canTrim ? ' and discarded' : ''}${io}`, async () => {
    const commands = [
      'aio_write -P 0x11 0 64k', 'aio_write -P 0x22 64k 64k', 'aio_flush', 'aio_read -P 0x11 0 64k', 'aio_flush',
      'write -f -P 0x33 8k 4k', 'read -P 0x33 8k 4k', 'read -P 0x11 12k 4k',
      'write -z 16k 8k', 'read -P 0 16k 8k', 'write -z -u 32k 8k', 'read -P 0 32k 8k', 'write -z -f 40k 4k', 'read -P 0 40k 4k',
      'discard 48k 8k', ...(canTrim ? ['read -P 0 48k 8k'] : ['read -P 0x11 48k 8k']), 'flush', 'read -P 0x22 64k 64k',
    ];
    const output = await run('qemu-io', '-f', 'raw', ...commands.flatMap((command) => ['-c', command]), server.uri(name));
    expect(output).not.toMatch(/fail|error|Pattern/i);
    expect(output.match(/^(wrote|read|discard) \d+\/\d+ bytes/gm)?.length).toBe(commands.filter((command) => !command.includes('flush')).length);
  });

  const fio = missing('fio');
  it.skipIf(fio)(`fio verifies checksums over four connections${fio}`, async () => {
    const output = await run(
      'fio', '--name=verify', '--ioengine=nbd', `--uri=${server.uri(name)}`, '--rw=randwrite', '--bs=4k', '--iodepth=16', '--numjobs=4', '--size=1M',
      '--offset_increment=1M', '--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--group_reporting', '--output-format=json',
    );
    const { jobs } = JSON.parse(output.slice(output.indexOf('{')));
    expect(jobs).toMatchObject([{ error: 0, write: { total_ios: 1024 }, read: { total_ios: 1024 } }]);
  });
});

describe('nbd-client', () => {
  const skip = missing('nbd-client'); // the rest of it needs the kernel's nbd module

  it.skipIf(skip)(`lists the exports of a port${skip}`, async () => {
    const listening = await startNbd(['--nvdimm', 'size=16M', '--disk', 'size=16M'], 2, { overTcp: true });
    const port = new URL(listening.uris[0]!).port;
    expect((await run('nbd-client', '-l', '127.0.0.1', port)).trim().split('\n').slice(1)).toEqual(['pmem0', 'sda']);
    await listening.stop();
  });
});

describe('nbdfuse', () => {
  const skip = missing('nbdfuse', 'mkfs.ext4', 'e2fsck', 'debugfs') || (existsSync('/dev/fuse') ? '' : ' (skipped: no /dev/fuse)');

  it.skipIf(skip)(`shows a file in which an ext4 is made, checked and written${skip}`, async () => {
    const folder = path('mnt');
    mkdirSync(folder);
    const mount = spawn('nbdfuse', [join(folder, 'disk'), server.uri('pmem0')], { stdio: 'ignore' });
    const ended = new Promise((resolve) => mount.once('exit', resolve));
    const disk = join(folder, 'disk');
    try {
      await vi.waitFor(() => expect(existsSync(disk)).toBe(true), { timeout: 20_000 });
      await run('mkfs.ext4', '-q', '-F', disk);
      await run('e2fsck', '-fn', disk);
      expect(await run('debugfs', '-R', 'stat <2>', disk)).toMatch(/Type: directory/);
      // debugfs writes what it changes of the superblock, byte by byte.
      await run('debugfs', '-w', '-R', `write ${source} copied`, disk);
      await run('debugfs', '-w', '-R', 'set_super_value volume_name holdfast', disk);
      await run('debugfs', '-R', `dump copied ${path('dumped.img')}`, disk);
      expectSource(path('dumped.img'));
      await run('e2fsck', '-fn', disk);
    } finally {
      await run('umount', folder);
      await ended;
    }
  });
});
