import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EXTRACT } from './extract-files.js';

/** By name: a byte, a block, and one that ends in the middle of its last block. */
const FILES = { small: Buffer.from('x'), block: Buffer.alloc(4096, 'abc'), long: Buffer.from(Array.from({ length: 70_001 }, (_, i) => i % 251)) };
const NAMES = Object.keys(FILES);

const MAKERS = {
  ext4: (image: string, folder: string) => execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-d', folder, image]),
  // A file of mkfs.xfs's protofile is named with its source.
  xfs: (image: string, folder: string) => {
    writeFileSync(`${image}.proto`, `/boot\n0 0\nd--755 0 0\n${NAMES.map((name) => `${name} ---644 0 0 ${join(folder, name)}\n`).join('')}$\n$\n`);
    execFileSync('/usr/sbin/mkfs.xfs', ['-q', '-f', '-p', `${image}.proto`, image]);
  },
};

it.each(['ext4', 'xfs'] as const)('finds the files of %s by its debugger, and says nothing of one that is not there', async (fs) => {
  if (!existsSync(`/usr/sbin/mkfs.${fs}`) || !existsSync(fs === 'ext4' ? '/usr/sbin/debugfs' : '/usr/sbin/xfs_db')) return;
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-extract-'));
  try {
    const [image, from, to] = ['image', 'from', 'to'].map((name) => join(scratch, name)) as [string, string, string];
    mkdirSync(from);
    mkdirSync(to);
    for (const [name, bytes] of Object.entries(FILES)) writeFileSync(join(from, name), bytes);
    writeFileSync(image, '');
    truncateSync(image, 300 * 2 ** 20);
    MAKERS[fs](image, from);
    await EXTRACT[fs](image, ['missing', ...NAMES], to);
    expect(readdirSync(to).filter((name) => name !== 'commands').sort()).toEqual([...NAMES].sort());
    for (const [name, bytes] of Object.entries(FILES)) expect(readFileSync(join(to, name)).equals(bytes), name).toBe(true);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
