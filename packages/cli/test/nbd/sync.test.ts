/**
 * `--sync`: what a flush or FUA was answered for is on the host's disk before the answer, as the calls of the server show.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNbd } from '@holdfast/nbd';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { killNbds, startNbd } from './nbd-process.js';
import { missing } from './tool.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'))));
afterEach(() => {
  killNbds();
  rmSync(folder, { recursive: true, force: true });
});

const skip = missing('strace');

describe('a plain write, one with FUA, and a flush', () => {
  it.skipIf(skip).each([
    { what: 'with --sync the last two are preceded by fdatasync', args: ['--sync'], wanted: ['reply', 'fdatasync', 'reply', 'fdatasync', 'reply'] },
    { what: 'without it the host may keep them in its cache', args: [], wanted: ['reply', 'reply', 'reply'] },
  ])(`$what${skip}`, async ({ args, wanted }) => {
    const log = join(folder, 'calls');
    const under = ['strace', '-D', '-f', '-qq', '-e', 'trace=fdatasync,write', '-o', log];
    const server = await startNbd(['--size', '16M', '--image', join(folder, 'disk.img'), ...args], 1, { folder, under });
    const client = await connectNbd(server.uri('pmem0'), { headers: 'simple' });
    await client.write(0, Buffer.alloc(4096, 1));
    await client.write(4096, Buffer.alloc(4096, 2), { fua: true });
    await client.flush();
    await client.close();
    expect(await server.kill('SIGTERM')).toBe(0);
    const calls = readFileSync(log, 'latin1').matchAll(/ (?:(fdatasync)\(\d+\)\s+= 0|write\(\d+, "gDf\\230\\0\\0\\0\\0)/g);
    expect([...calls].map(([, sync]) => sync ?? 'reply').slice(0, wanted.length)).toEqual(wanted);
  }, 60_000);
});
