import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createMemoryStore } from '../block-store.js';
import { type MkfsXfsOptions, makeXfs, planXfs } from './mkfs-xfs.js';

const hasTools = existsSync('/usr/sbin/mkfs.xfs') && existsSync('/usr/sbin/xfs_repair');
const folder = mkdtempSync(join(tmpdir(), 'holdfast-xfs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 2 ** 20;
const UUID = Uint8Array.from({ length: 16 }, (_, i) => 0x11 * (1 + (i % 5)));
const dashed = Buffer.from(UUID).toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

const CASES: readonly { name: string; options: Partial<MkfsXfsOptions> & { sizeBytes: number }; args: string[] }[] = [
  { name: 'of 1 GiB less 16 MiB, on sectors of 4 KiB', options: { sizeBytes: 1008 * MIB }, args: ['-s', 'size=4096'] },
  { name: 'on sectors of 512 bytes', options: { sizeBytes: 512 * MIB, sectorBytes: 512 }, args: ['-s', 'size=512'] },
  { name: 'without reflink', options: { sizeBytes: 600 * MIB, hasReflink: false }, args: ['-s', 'size=4096', '-m', 'reflink=0'] },
  { name: 'with blocks of 1 KiB', options: { sizeBytes: 1008 * MIB, blockBytes: 1024, sectorBytes: 512 }, args: ['-s', 'size=512', '-b', 'size=1024'] },
  { name: 'on stripes of 2 MiB', options: { sizeBytes: 1008 * MIB, stripeUnitBytes: 2 * MIB, stripeWidthBytes: 2 * MIB }, args: ['-s', 'size=4096', '-d', 'su=2m,sw=1'] },
  { name: 'of an odd size', options: { sizeBytes: 777 * MIB + 12345 * 512 }, args: ['-s', 'size=4096'] },
  { name: 'of 200 GiB', options: { sizeBytes: 200 * 1024 * MIB }, args: ['-s', 'size=4096'] },
];

describe.skipIf(!hasTools)('a new XFS', () => {
  it.each(CASES)('$name is what mkfs.xfs makes, but for times', ({ options, args }) => {
    const store = createMemoryStore(options.sizeBytes);
    makeXfs(store, { blockBytes: 4096, sectorBytes: 4096, uuid: UUID, now: 1_700_000_000, ...options });
    const [ours, theirs] = ['ours', 'theirs'].map((name) => join(folder, name)) as [string, string];
    for (const path of [ours, theirs]) {
      rmSync(path, { force: true });
      writeFileSync(path, '');
      truncateSync(path, options.sizeBytes);
    }
    const fd = openSync(ours, 'r+');
    for (const [index, page] of store.pages) writeSync(fd, page, 0, Math.min(4096, options.sizeBytes - index * 4096), index * 4096);
    closeSync(fd);
    expect(spawnSync('/usr/sbin/mkfs.xfs', ['-q', '-f', '-m', `uuid=${dashed}`, ...args, theirs], { encoding: 'utf8' })).toMatchObject({ status: 0 });
    expect(differences(ours, theirs, store.pages)).toEqual([]);
    expect(spawnSync('/usr/sbin/xfs_repair', ['-n', ours], { encoding: 'utf8' })).toMatchObject({ status: 0 });
  });
});

it.each([
  { name: 'a device of one block', options: { sizeBytes: 4096 }, line: 'size 1 of data subvolume is too small, minimum 4096 blocks' },
  { name: 'a device of 200 MiB', options: { sizeBytes: 200 * MIB }, line: 'Filesystem must be larger than 300MB.' },
  { name: 'stripes that leave no room for the log', options: { sizeBytes: 512 * MIB, stripeUnitBytes: 2 * MIB, stripeWidthBytes: 2 * MIB }, line: 'Log size must be at least 64MB.' },
])('refuses $name', ({ options, line }) => {
  expect(() => planXfs({ blockBytes: 4096, sectorBytes: 4096, uuid: UUID, now: 0, ...options })).toThrow(line);
});

/** Bytes that differ, but for the times of inodes and the sums over them. */
function differences(ours: string, theirs: string, pages: ReadonlyMap<number, Uint8Array>): string[] {
  const [a, b] = [openSync(ours, 'r'), openSync(theirs, 'r')];
  const found: string[] = [];
  for (const index of [...pages.keys()].sort((x, y) => x - y)) {
    const [left, right] = [a, b].map((fd) => {
      const page = Buffer.alloc(4096);
      readSync(fd, page, 0, 4096, index * 4096);
      for (let at = 0; at < 4096; at += 512) {
        if (page.readUInt16BE(at) === 0x494e) for (const [from, length] of [[0x20, 24], [0x64, 4], [0x90, 8], [0x5c, 4], [0x68, 8]] as const) page.fill(0, at + from, at + from + length);
      }
      return page;
    }) as [Buffer, Buffer];
    for (let at = 0; at < 4096 && found.length < 30; at++) if (left[at] !== right[at]) found.push(`${index}:${at.toString(16)} ${left[at]!.toString(16)} instead of ${right[at]!.toString(16)}`);
  }
  closeSync(a);
  closeSync(b);
  return found;
}
