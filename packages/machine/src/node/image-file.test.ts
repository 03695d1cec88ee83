import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelError, TIB, physAddr } from '@holdfast/lib';
import { createMachine, createNvdimm } from '../index.js';
import { openImageFile } from './index.js';

const MIB = 1024 * 1024;
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'holdfast-image-'))));
afterEach(() => rmSync(dir, { recursive: true }));

/** The errno and the sentence of a refusal. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

describe('an image file', () => {
  it('is made sparse, with the size asked for', () => {
    const path = join(dir, 'a.img');
    openImageFile(path, { sizeBytes: 8 * TIB }).close();
    const { size, blocks } = statSync(path);
    expect([size, blocks]).toEqual([8 * TIB, 0]);
  });

  it('holds raw bytes, as QEMU has them, and gives them to the next machine', () => {
    const path = join(dir, 'a.img');
    const write = (value: number): void => {
      const backing = openImageFile(path, { sizeBytes: 5 * MIB });
      const machine = createMachine({ media: [{ start: 0x1_0000_0000, medium: createNvdimm({ backing }) }] });
      const mapping = machine.cpu.map(physAddr(0x1_0000_0000), 5 * MIB, 'WB');
      const before = new Uint8Array(1);
      mapping.read(3 * MIB, before, 0, 1);
      expect(before[0]).toBe(value - 1);
      mapping.writeFlushCache(3 * MIB, Uint8Array.of(value), 0, 1);
      machine.cpu.sfence();
      expect(readFileSync(path)[3 * MIB]).toBe(value);
      machine.poweroff();
      backing.close();
    };
    write(1);
    write(2);
    expect(readFileSync(path).reduce((sum, byte) => sum + byte, 0)).toBe(2);
    expect(statSync(path).blocks * 512).toBeLessThan(MIB);
  });

  it('takes the size of the file if none is asked for', () => {
    const path = join(dir, 'a.img');
    writeFileSync(path, new Uint8Array(1234));
    const image = openImageFile(path);
    expect(image.sizeBytes).toBe(1234);
    image.close();
  });

  it('is refused for what it is', () => {
    const short = join(dir, 'short.img');
    writeFileSync(short, new Uint8Array(10));
    writeFileSync(join(dir, 'empty.img'), '');
    mkdirSync(join(dir, 'folder'));
    spawnSync('mkfifo', [join(dir, 'pipe')]);
    expect(refusal(() => openImageFile(short, { sizeBytes: MIB }))).toBe(`EINVAL: image ${short}: it has 10 bytes, expected ${MIB}`);
    expect(refusal(() => openImageFile(join(dir, 'empty.img')))).toMatch(/^EINVAL: .* is empty/);
    expect(refusal(() => openImageFile(join(dir, 'folder')))).toMatch(/^EISDIR: .*folder: Is a directory while opening it$/);
    expect(refusal(() => openImageFile(join(dir, 'none.img')))).toMatch(/^ENOENT: .*no such file, and no size to make it with$/);
    expect(refusal(() => openImageFile(join(dir, 'no/where.img'), { sizeBytes: 1 }))).toMatch(/^ENOENT: .* looking up its directory$/);
    expect(refusal(() => openImageFile(join(short, 'x.img'), { sizeBytes: 1 }))).toMatch(/^ENOTDIR: /);
    if (existsSync(join(dir, 'pipe'))) expect(refusal(() => openImageFile(join(dir, 'pipe')))).toMatch(/^EINVAL: .*not a regular file$/);
    for (const sizeBytes of [0, -1, 1.5, NaN]) expect(refusal(() => openImageFile(join(dir, 'x'), { sizeBytes }))).toMatch(/^EINVAL: .* expected a whole number/);
    expect(existsSync(join(dir, 'x'))).toBe(false);
    expect(refusal(() => openImageFile(join(dir, 'huge.img'), { sizeBytes: 2 ** 53 - 1 }))).toMatch(/^(EFBIG|EINVAL): .*while making it/);
    expect(existsSync(join(dir, 'huge.img'))).toBe(false);
    for (const name of ['short.img', 'empty.img', 'folder', 'pipe', 'none.img', 'huge.img']) expect(existsSync(join(dir, `${name}.lock`))).toBe(false);
  });

  it.skipIf(process.getuid?.() === 0)('says so where there is no permission', () => {
    const path = join(dir, 'a.img');
    writeFileSync(path, new Uint8Array(10));
    chmodSync(path, 0o400);
    expect(refusal(() => openImageFile(path))).toMatch(/^EACCES: .*Permission denied/);
  });

  it('says where it ends, if somebody cuts it short', () => {
    const path = join(dir, 'a.img');
    writeFileSync(path, new Uint8Array(4096).fill(1));
    const image = openImageFile(path);
    writeFileSync(path, new Uint8Array(1000).fill(1));
    expect(refusal(() => image.read(0, new Uint8Array(4096), 0, 4096))).toMatch(/^EIO: .*the file ends at 1000 while reading 4096 bytes at 0$/);
    image.close();
    image.close(); // once is enough, twice does no harm
  });
});

describe('the lock of an image', () => {
  it('refuses a second opener, by any name, until it is closed', () => {
    const path = join(dir, 'a.img');
    const link = join(dir, 'b.img');
    const image = openImageFile(path, { sizeBytes: MIB });
    symlinkSync(path, link);
    for (const name of [path, link]) expect(refusal(() => openImageFile(name))).toMatch(/^EBUSY: .*in use by this process/);
    image.close();
    openImageFile(link).close();
  });

  it('refuses while another process lives, and is taken over when that is dead', () => {
    const path = join(dir, 'a.img');
    openImageFile(path, { sizeBytes: MIB }).close();
    const parent = `${process.ppid} ${readFileSync(`/proc/${process.ppid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[19]}`;
    writeFileSync(`${path}.lock`, parent);
    expect(refusal(() => openImageFile(path))).toContain(`in use by process ${process.ppid} (`);
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    for (const stale of [`${dead} 1`, `${process.pid} 1`, 'nonsense']) {
      writeFileSync(`${path}.lock`, stale);
      openImageFile(path).close();
      expect(existsSync(`${path}.lock`)).toBe(false);
    }
  });
});
