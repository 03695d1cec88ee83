/** docs/guides/power-cuts.sh does what docs/guides/ci.md says of it, on demand: it passes, and fails where the disk lies. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { missing } from './tool.js';

const ROOT = join(import.meta.dirname, '../../../..');
const skip = (process.env['HOLDFAST_INTEROP'] === '1' ? '' : ' (skipped: HOLDFAST_INTEROP is not 1)') || missing('nbdcopy', 'nbdfuse', 'fusermount3', 'fuse2fs', 'e2fsck', 'debugfs', 'sqlite3') || (existsSync('/dev/fuse') ? '' : ' (skipped: no /dev/fuse)');

function powerCuts(lie: string): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync('sh', [join(ROOT, 'docs/guides/power-cuts.sh'), '5', '4'], { encoding: 'utf8', env: { ...process.env, HOLDFAST: ROOT, LIE: lie } });
  return { status, stdout };
}

it.skipIf(skip)(`the test of the guide finds all that SQLite has committed${skip}`, { timeout: 600_000 }, () => {
  const { status, stdout } = powerCuts('');
  expect(stdout).toMatch(/^[1-9]\d* rows were committed; [1-9]\d* different disks may be left\n[1-4] good, 0 bad\n$/m);
  expect(status).toBe(0);
});

it.skipIf(skip)(`the test of the guide fails on a disk that lies about flushes${skip}`, { timeout: 600_000 }, () => {
  const { status, stdout } = powerCuts('1');
  expect(stdout).toMatch(/^\d good, [1-9] bad\n$/m);
  expect(status).toBe(1);
});
