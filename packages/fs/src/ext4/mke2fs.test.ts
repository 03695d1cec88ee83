import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readSync, rmSync, closeSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createMemoryStore } from '../block-store.js';
import { makeExt4 } from './mke2fs.js';
import { INCOMPAT } from './superblock.js';
import { type Features, TYPE_FEATURES, usageBySize } from './mke2fs-geometry.js';

const MKE2FS = '/usr/sbin/mke2fs';
const hasTools = existsSync(MKE2FS) && existsSync('/usr/sbin/e2fsck');
const folder = mkdtempSync(join(tmpdir(), 'holdfast-fs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const UUID = Uint8Array.from({ length: 16 }, (_, i) => 0x11 * (1 + (i % 5)));
const HASH_SEED = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);
const NOW = 1_700_000_000;
const MIB = 2 ** 20;
const dashed = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

function make(sizeBytes: number, type: 'ext2' | 'ext4', blockSize = usageBySize(sizeBytes).blockSize, features: Features = TYPE_FEATURES[type], stride = 0) {
  const store = createMemoryStore(sizeBytes);
  const { inodeRatio } = usageBySize(sizeBytes);
  const made = makeExt4(store, { sizeBytes, blockSize, features, uuid: UUID, hashSeed: HASH_SEED, now: NOW, inodeRatio, isZeroed: true, lazyItable: true, stride });
  return { store, made };
}

function toFile({ sizeBytes, pages }: ReturnType<typeof createMemoryStore>, name: string): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  const fd = openSync(path, 'r+');
  for (const [index, page] of pages) writeSync(fd, page, 0, Math.min(4096, sizeBytes - index * 4096), index * 4096);
  closeSync(fd);
  return path;
}

const SIZES: readonly { name: string; type: 'ext2' | 'ext4'; sizeBytes: number; blockSize?: number; args?: string[] }[] = [
  { name: 'ext4 of 1 GiB', type: 'ext4', sizeBytes: 1024 * MIB },
  { name: 'ext4 of 256 MiB, with blocks of 1 KiB', type: 'ext4', sizeBytes: 256 * MIB },
  { name: 'ext4 of 1 GiB with blocks of 2 KiB', type: 'ext4', sizeBytes: 1024 * MIB, blockSize: 2048 },
  { name: 'ext4 of 5 GiB less a little', type: 'ext4', sizeBytes: 5 * 1024 * MIB - 777 * 512 },
  { name: 'ext2 of 1 GiB', type: 'ext2', sizeBytes: 1024 * MIB },
  { name: 'ext2 of 100 MiB', type: 'ext2', sizeBytes: 100 * MIB },
];

describe.skipIf(!hasTools)('a new file system', () => {
  it.each(SIZES)('$name is what mke2fs makes, byte for byte', ({ type, sizeBytes, blockSize }) => {
    const { store } = make(sizeBytes, type, blockSize);
    const ours = toFile(store, 'ours');
    const theirs = join(folder, 'theirs');
    rmSync(theirs, { force: true });
    writeFileSync(theirs, '');
    truncateSync(theirs, sizeBytes);
    const args = ['-q', '-F', '-t', type, '-U', dashed(UUID), '-E', `hash_seed=${dashed(HASH_SEED)}`, ...(blockSize ? ['-b', String(blockSize)] : []), theirs];
    execFileSync(MKE2FS, args, { env: { E2FSPROGS_FAKE_TIME: String(NOW) } });
    expect(differences(ours, theirs, store.pages)).toEqual([]);
  });

  it.each([
    { name: 'of 4 MiB', type: 'ext4', sizeBytes: 4 * MIB },
    { name: 'of 300 GiB, whose journal has a node outside of its inode', type: 'ext4', sizeBytes: 300 * 1024 * MIB },
    { name: 'for inline data and encryption', type: 'ext4', sizeBytes: 600 * MIB, incompat: INCOMPAT.ENCRYPT | INCOMPAT.INLINE_DATA },
    { name: 'of type ext2 with blocks of 4 KiB', type: 'ext2', sizeBytes: 64 * MIB, blockSize: 4096 },
    { name: 'of type ext2 on an array', type: 'ext2', sizeBytes: 600 * MIB, stride: 4 },
  ] as const)('$name has nothing that e2fsck minds', ({ type, sizeBytes, ...more }) => {
    const { incompat = 0, blockSize = undefined, stride = 0 } = more as { incompat?: number; blockSize?: number; stride?: number };
    const features = { ...TYPE_FEATURES[type], incompat: TYPE_FEATURES[type].incompat | incompat };
    const image = toFile(make(sizeBytes, type, blockSize, features, stride).store, 'checked');
    expect(spawnSync('/usr/sbin/e2fsck', ['-fn', image], { encoding: 'utf8' })).toMatchObject({ status: 0 });
  });
});

it('refuses what no file system can have', () => {
  expect(() => make(64 * MIB, 'ext4', 3000)).toThrow(/block size 3000/);
  expect(() => make(20_000, 'ext2', 1024)).toThrow(/too small/);
  expect(() => make(600 * MIB, 'ext4', 4096, { ...TYPE_FEATURES.ext4, incompat: INCOMPAT.FILETYPE })).toThrow(/without the feature extents/);
});

/** Bytes that differ, but for s_kbytes_written and the superblock's checksum over it. */
function differences(ours: string, theirs: string, pages: ReadonlyMap<number, Uint8Array>): string[] {
  const [a, b] = [openSync(ours, 'r'), openSync(theirs, 'r')];
  const found: string[] = [];
  const [left, right] = [Buffer.alloc(4096), Buffer.alloc(4096)];
  for (const index of [...pages.keys()].sort((x, y) => x - y)) {
    left.fill(0);
    right.fill(0);
    readSync(a, left, 0, 4096, index * 4096);
    readSync(b, right, 0, 4096, index * 4096);
    for (let base = 0; base < 4096; base += 1024) {
      if (left.readUInt16LE(base + 0x38) !== 0xef53) continue;
      for (const image of [left, right]) for (const [at, length] of [[0x178, 8], [0x3fc, 4]] as const) image.fill(0, base + at, base + at + length);
    }
    for (let at = 0; at < 4096 && found.length < 40; at++) if (left[at] !== right[at]) found.push(`${index}:${at.toString(16)} ${left[at]!.toString(16)} instead of ${right[at]!.toString(16)}`);
  }
  closeSync(a);
  closeSync(b);
  return found;
}
