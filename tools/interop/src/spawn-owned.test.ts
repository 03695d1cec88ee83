import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, it, vi } from 'vitest';
import { SETPRIV } from './spawn-owned.js';

const skip = existsSync(SETPRIV) ? '' : ` (skipped: ${SETPRIV} is not installed)`;

/** A process that has ended may stay in the table until somebody asks for its status. */
function runs(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, 'latin1'));
}

it.skipIf(skip)(`what is owned ends with its owner, whatever ends that${skip}`, async () => {
  const module = JSON.stringify(new URL('../dist/spawn-owned.js', import.meta.url).href);
  const owner = spawn(process.execPath, ['--input-type=module', '-e', `
    import { spawnOwned } from ${module};
    console.log(spawnOwned('sleep', ['1000'], { stdio: 'ignore' }).pid);
  `], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string];
  const pid = Number(line);
  await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/cmdline`, 'latin1')).toBe('sleep\x001000\0'), { timeout: 20_000 });
  owner.kill('SIGKILL');
  await vi.waitFor(() => expect(runs(pid)).toBe(false), { timeout: 20_000 });
});
