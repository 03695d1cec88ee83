/** A little of crash-fs, on demand: `HOLDFAST_INTEROP=1 npx vitest run`, once built. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it.skipIf(process.env['HOLDFAST_INTEROP'] !== '1').each([
  ['ext4', 'holds what fsync returned for', []],
  ['xfs', 'holds what fsync returned for', []],
  ['ext4', 'loses it where the disk lies', ['--lie', '0.7']],
  ['xfs', 'loses it where the disk lies', ['--lie', '0.7']],
])('%s %s', { timeout: 600_000 }, (fs, _, more) => {
  const { status, stdout } = spawnSync(process.execPath, [fileURLToPath(new URL('../dist/crash-fs.js', import.meta.url)), '--fs', fs, '--states', '10', '--seed', '5', ...more], { encoding: 'utf8' });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringMatching(/skipped|the trace replays to the same cut/) as string });
});
