import { vfsDir, vfsText } from '@holdfast/kernel';
import { expect, it } from 'vitest';
import { complete } from './completion.js';

const root = vfsDir({ proc: vfsDir({ iomem: vfsText(() => ''), meminfo: vfsText(() => ''), irq: vfsDir({}) }), dev: vfsDir({}) });

it.each([
  { line: 'lsm', want: [['lsmem '], 'lsm'] },
  { line: 'cat /proc/i', want: [['/proc/iomem ', '/proc/irq/'], '/proc/i'] },
  { line: 'cat x; hexd', want: [['hexdump '], 'hexd'] },
  { line: 'echo a > /de', want: [['/dev/'], '/de'] },
  { line: 'dd if=/proc/me', want: [['/proc/meminfo '], '/proc/me'] },
  { line: 'cat pro', want: [['proc/'], 'pro'] },
  { line: 'cat /nope/', want: [[], '/nope/'] },
])('completes "$line"', ({ line, want }) => expect(complete(root, '/', line)).toEqual(want));
