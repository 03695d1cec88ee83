/** `holdfast nbd` as a process: how it starts, and how it ends. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { killNbds, startNbd } from './nbd-process.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'))));
afterEach(() => {
  killNbds();
  rmSync(folder, { recursive: true, force: true });
});

describe('holdfast nbd', () => {
  it('prints a URI for each disk', async () => {
    const server = await startNbd(['--nvdimm', 'size=16M', '--disk', 'size=16M'], 2);
    expect(server.uris).toEqual(['pmem0', 'sda'].map(server.uri));
    await server.stop();
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('ends in order when %s comes right behind the first URI', async (signal) => {
    let said = false;
    const onOutput = (child: ChildProcess): void => {
      if (said) return;
      said = true;
      child.kill(signal);
      setImmediate(() => child.kill(signal)); // a second one, meanwhile: not when Node has let go of signals, at its very end
    };
    const server = await startNbd(['--nvdimm', 'size=16M,image=a.img', '--disk', 'size=16M'], 2, { folder, onOutput });
    expect(await server.exit).toBe(0);
    expect([server.socket, join(folder, 'a.img.lock')].map(existsSync)).toEqual([false, false]);
  });

  it('starts again on the socket and the image that a killed one left', async () => {
    const args = ['--image', 'a.img', '--size', '16M'];
    const killed = await startNbd(args, 1, { folder });
    expect(await killed.kill('SIGKILL')).toBe('SIGKILL');
    expect([killed.socket, join(folder, 'a.img.lock')].map(existsSync)).toEqual([true, true]);
    const next = await startNbd(args, 1, { folder });
    await expect(startNbd(args, 1, { folder })).rejects.toThrow(/holdfast: image .*a\.img: in use by process/);
    expect(await next.kill('SIGTERM')).toBe(0);
  });
});
