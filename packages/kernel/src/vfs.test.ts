import { KernelError } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type VfsDir, readFile, resolvePath, vfsAttributes, vfsDir, vfsLink, vfsText, writeFile } from './vfs.js';

let state = 'online';
const root: VfsDir = vfsDir({
  proc: vfsDir({ cmdline: vfsText(() => 'quiet\n') }),
  sys: vfsDir({
    block: vfsDir({ pmem0: vfsLink('../devices/pmem0') }),
    devices: vfsDir({ pmem0: vfsDir({ size: vfsText(() => '2048\n'), subsystem: vfsLink('../../block') }) }),
    loop: vfsLink('loop'),
    state: vfsAttributes([
      {
        name: 'state',
        mode: 0o644,
        show: () => `${state}\n`,
        store(text) {
          if (text.trim() === 'bogus') throw new KernelError('EINVAL', 'state: expected online or offline');
          state = text.trim();
        },
      },
    ])['state']!,
  }),
});

describe('resolvePath', () => {
  it.each([
    ['/', '/'],
    ['/sys/block/pmem0/size', '/sys/devices/pmem0/size'],
    ['/sys/block/pmem0/subsystem/pmem0', '/sys/devices/pmem0'],
    ['/sys/../proc//./cmdline', '/proc/cmdline'],
    ['/../../sys/block', '/sys/block'],
  ])('walks %s to %s, through links', (path, canonical) => expect(resolvePath(root, path).path).toBe(canonical));

  it('stops at a last link if told so', () => {
    expect(resolvePath(root, '/sys/block/pmem0', { follow: false }).node).toMatchObject({ kind: 'link', target: '../devices/pmem0' });
    expect(resolvePath(root, '/sys/block/pmem0/', { follow: false }).path).toBe('/sys/block/pmem0');
  });

  it.each([
    ['/nowhere', 'ENOENT'],
    ['/proc/cmdline/x', 'ENOTDIR'],
    ['/sys/loop/x', 'ELOOP'],
    ['/proc/__proto__', 'ENOENT'],
  ])('refuses %s with %s', (path, code) => expect(() => resolvePath(root, path)).toThrow(expect.objectContaining({ code })));
});

describe('files', () => {
  it('ask their subsystem at each read, and hand it what is written', () => {
    expect(readFile(root, '/sys/state')).toBe('online\n');
    writeFile(root, '/sys/state', 'offline\n');
    expect(readFile(root, '/sys/state')).toBe('offline\n');
  });

  it.each([
    { what: 'a refusal of the subsystem', act: () => writeFile(root, '/sys/state', 'bogus\n'), code: 'EINVAL' },
    { what: 'writing what is read-only', act: () => writeFile(root, '/proc/cmdline', 'x'), code: 'EACCES' },
    { what: 'reading a directory', act: () => readFile(root, '/proc'), code: 'EISDIR' },
    { what: 'writing a directory', act: () => writeFile(root, '/proc', 'x'), code: 'EISDIR' },
  ])('answer $what with $code', ({ act, code }) => expect(act).toThrow(expect.objectContaining({ code })));
});
