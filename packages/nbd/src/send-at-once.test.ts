import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sendAtOnce } from './send-at-once.js';

let folder: string;
let server: Server;
let near: Socket;
let far: Socket;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-send-'));
  server = createServer();
  server.listen(join(folder, 'socket'));
  const accepted = once(server, 'connection');
  far = connect(join(folder, 'socket'));
  [near] = (await accepted) as [Socket];
  near.on('error', () => {});
});
afterEach(() => {
  far.destroy();
  near.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

async function received(length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let count = 0;
  far.resume();
  while (count < length) {
    const [part] = (await once(far, 'data')) as [Buffer];
    parts.push(part);
    count += part.length;
  }
  return Buffer.concat(parts);
}

test('what the socket has room for is gone when the call returns, and nobody calls back', async () => {
  const send = sendAtOnce(near);
  const bytes = Buffer.from('sixteen bytes ..');
  expect(send(bytes, () => expect.unreachable())).toBe(true);
  bytes.fill(0);
  expect((await received(16)).toString()).toBe('sixteen bytes ..');
});

test('what comes behind a full socket comes in order, short or long', async () => {
  const send = sendAtOnce(near);
  far.pause();
  const sizes = [100, 60_000, 2_000_000, 16, 60_000, 16, 300_000, 1];
  const taken: number[] = [];
  const called: number[] = [];
  sizes.forEach((size, i) => {
    if (send(Buffer.alloc(size, i), () => taken.push(i))) called.push(i);
  });
  expect(called).toEqual([0, 1]);
  const all = await received(sizes.reduce((sum, size) => sum + size));
  expect(all.equals(Buffer.concat(sizes.map((size, i) => Buffer.alloc(size, i))))).toBe(true);
  expect(taken).toEqual([2, 3, 4, 5, 6, 7]);
  expect(send(Buffer.of(9), () => expect.unreachable())).toBe(true);
});

test('a socket that is gone takes nothing', async () => {
  const send = sendAtOnce(near);
  near.destroy();
  await once(near, 'close');
  const outcome = await new Promise((resolve) => expect(send(Buffer.of(1), () => resolve('told'))).toBe(false));
  expect(outcome).toBe('told');
});
