/** An exported tree, read by util-linux itself: it prints what the console's own lsmem and lsblk print. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vfsDir, vfsLink, vfsText } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat } from '../src/console/open-file.js';
import { createShell } from '../src/console/shell.js';
import { CliError } from '../src/cli-error.js';
import { exportSysroot } from '../src/sysroot.js';
import { fakeSystem } from './fake-kernel.js';

const target = mkdtempSync(join(tmpdir(), 'holdfast-sysroot-'));
afterAll(() => rmSync(target, { recursive: true }));

const here = (tool: string): boolean => spawnSync(tool, ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;

describe.skipIf(!here('lsmem') || !here('lsblk'))('util-linux on an exported tree', () => {
  const system = fakeSystem();
  beforeAll(() => void exportSysroot(system.root, join(target, 'tools')));

  it.each([
    'lsmem', 'lsmem -a', 'lsmem -b', 'lsmem -n', 'lsmem -r', 'lsmem -P', 'lsmem -J', 'lsmem -J -b', 'lsmem --output-all', 'lsmem -o RANGE,ZONES,NODE',
    'lsmem -o +ZONES', 'lsmem -S none', 'lsmem -S STATE,NODE --output-all', 'lsmem --summary=only', 'lsmem --summary=never', 'lsmem -b --summary=only',
    'lsblk', 'lsblk -b', 'lsblk -J', 'lsblk -l', 'lsblk -n', 'lsblk -r', 'lsblk -P', 'lsblk -p', 'lsblk -d', 'lsblk -o NAME,SIZE,RO', 'lsblk -J -b -o NAME,SIZE,DAX',
  ])('%s', async (line) => {
    const [tool, ...args] = line.split(' ');
    const real = spawnSync(tool!, [...args, '--sysroot', join(target, 'tools')], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    const out: Uint8Array[] = [];
    await createShell({ system, out: (data) => out.push(data.slice()), err: () => {} }).run(line);
    expect(new TextDecoder().decode(concat(out))).toBe(real.stdout);
  });
});

describe('exportSysroot', () => {
  const root = vfsDir({
    sys: vfsDir({
      bytes: { kind: 'file', mode: 0o444, read: () => new Uint8Array([0, 255, 10]) },
      secret: { kind: 'file', mode: 0o200, write: () => {} },
      broken: { kind: 'file', mode: 0o444, read: () => { throw new KernelError('EIO', 'no'); } },
      link: vfsLink('/proc/cpus'),
      near: vfsLink('bytes'),
      '..': vfsText(() => 'outside'),
    }),
    proc: vfsDir({ cpus: vfsText(() => 'one\n') }),
    etc: vfsDir({}),
  });

  it('writes bytes as they are, and keeps links inside', () => {
    const at = join(target, 'plain');
    expect(exportSysroot(root, at)).toEqual({ directories: 2, files: 4, links: 2, unreadable: 2 });
    expect([...readFileSync(join(at, 'sys/bytes'))]).toEqual([0, 255, 10]);
    expect(readlinkSync(join(at, 'sys/link'))).toBe('../proc/cpus');
    expect(readFileSync(join(at, 'sys/link'), 'utf8')).toBe('one\n');
    expect(existsSync(join(at, 'etc'))).toBe(false);
  });

  it('says so where a tree is already there', () => {
    expect(() => exportSysroot(root, join(target, 'plain'))).toThrow(new CliError(`--sysroot: ${join(target, 'plain/sys/link')} is already there; expected a new or an empty directory`));
  });
});
