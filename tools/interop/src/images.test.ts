/** The whole of main.ts, on demand: `HOLDFAST_INTEROP=1 npx vitest run`, once built. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it.skipIf(process.env['HOLDFAST_INTEROP'] !== '1')('a real Linux and Holdfast read each other', { timeout: 600_000 }, () => {
  const { status, stdout } = spawnSync(process.execPath, [fileURLToPath(new URL('../dist/main.js', import.meta.url))], { encoding: 'utf8' });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringMatching(/interop: (?:all the same|skipped)/) as string });
});
