import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KernelError } from '@holdfast/lib';
import { CLIENT_FLAGS, exportOf, goData, option, pmemDisk, request } from '../test/fixture.js';
import type { NbdDisk } from './disk.js';
import { CMD, OPT } from './protocol.js';
import { type NbdServer, createNbdServer } from './server.js';

const MIB = 2 ** 20;
let folder: string;
let path: string;
let server: NbdServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
  path = join(folder, 'socket');
  const disk = pmemDisk(16 * MIB);
  server = createNbdServer({ exports: () => [exportOf(disk)], maxConnections: 3, finishMs: 20_000 });
  await server.listen({ socket: path });
});

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** A connection whose bytes are taken in exact numbers. */
interface Talk {
  readonly socket: Socket;
  take(length: number): Promise<Buffer>;
}

function talkTo(address: string): Talk {
  const socket = connect(address);
  let held = Buffer.alloc(0);
  let wanted: { length: number; give: (bytes: Buffer) => void } | undefined;
  const serve = (): void => {
    if (!wanted || held.length < wanted.length) return;
    const { length, give } = wanted;
    wanted = undefined;
    give(held.subarray(0, length));
    held = held.subarray(length);
  };
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    serve();
  });
  return {
    socket,
    take: (length) =>
      new Promise((give) => {
        wanted = { length, give };
        serve();
      }),
  };
}

async function ready(): Promise<Talk> {
  const talk = talkTo(path);
  await talk.take(18);
  talk.socket.write(Buffer.concat([CLIENT_FLAGS, option(OPT.GO, goData('pmem0'))]));
  await talk.take(32 + 34 + 20);
  return talk;
}

describe('the server', () => {
  test('what one client writes another reads, with megabytes on the way', async () => {
    const [a, b] = [await ready(), await ready()];
    const data = Buffer.alloc(3 * MIB, 0x5a);
    a.socket.write(request(CMD.WRITE, MIB, data.length, { payload: data }));
    expect((await a.take(16)).readUInt32BE(4)).toBe(0);
    for (let i = 0; i < 4; i++) b.socket.write(request(CMD.READ, MIB, data.length));
    for (let i = 0; i < 4; i++) {
      await b.take(16);
      expect((await b.take(data.length)).equals(data)).toBe(true);
    }
    a.socket.destroy();
    b.socket.destroy();
  });

  test('a client that goes in the middle of a request leaves nothing behind', async () => {
    const { socket } = await ready();
    socket.write(request(CMD.WRITE, 0, MIB, { payload: Buffer.alloc(1000) }));
    expect(server.connections.size).toBe(1);
    socket.destroy();
    await vi.waitFor(() => expect(server.connections.size).toBe(0));
    const next = await ready();
    next.socket.write(request(CMD.FLUSH, 0, 0));
    expect((await next.take(16)).readUInt32BE(4)).toBe(0);
    next.socket.destroy();
  });

  test('a client that says goodbye, or nonsense, and waits for the end leaves nothing behind', async () => {
    for (const last of [request(CMD.DISC, 0, 0), Buffer.alloc(28)]) {
      const { socket } = await ready();
      socket.write(last);
      await once(socket, 'close');
    }
    await vi.waitFor(() => expect(server.connections.size).toBe(0));
  });

  test('one client too many is turned away, and the others stay', async () => {
    const clients = [await ready(), await ready(), await ready()];
    await once(talkTo(path).socket, 'close');
    clients[0]!.socket.write(request(CMD.FLUSH, 0, 0));
    expect((await clients[0]!.take(16)).readUInt32BE(4)).toBe(0);
    for (const { socket } of clients) socket.destroy();
  });

  test('a client that a rebooted machine has no memory for is gone, and the others stay', async () => {
    const [a, b] = [await ready(), await ready()];
    const starved = Object.assign(Object.create(pmemDisk(16 * MIB)) as NbdDisk, {
      allocSlab(): never {
        throw new KernelError('ENOMEM', 'no memory for this test');
      },
    });
    const [first] = server.connections;
    first!.rebind(undefined);
    const gone = once(a.socket, 'close');
    first!.rebind(starved);
    await gone;
    b.socket.write(request(CMD.FLUSH, 0, 0));
    expect((await b.take(16)).readUInt32BE(4)).toBe(0);
    b.socket.destroy();
  });

  test('closing lets go of clients in the middle of their work', async () => {
    const hasty = createNbdServer({ exports: () => [exportOf(pmemDisk(16 * MIB))], finishMs: 1 });
    await server.close();
    await hasty.listen({ socket: path });
    const { socket } = await ready();
    socket.pause();
    socket.write(request(CMD.READ, 0, 16 * MIB));
    await vi.waitFor(() => expect(hasty.counters.reads).toBe(1));
    await hasty.close();
    expect(hasty.connections.size).toBe(0);
    await server.listen({ socket: path });
    const gone = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await gone;
  });

  test('a socket file that a killed server left is taken over; one in use, or a file that is no socket, is not', async () => {
    const stale = join(folder, 'stale');
    spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`]);
    expect(existsSync(stale)).toBe(true);
    const other = createNbdServer({ exports: () => [exportOf(undefined)] });
    await other.listen({ socket: stale });
    await expect(createNbdServer({ exports: () => [] }).listen({ socket: stale })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await other.close();
    writeFileSync(stale, 'precious');
    await expect(other.listen({ socket: stale })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(readFileSync(stale, 'utf8')).toBe('precious');
  });

  test('an orderly end sends what was answered', async () => {
    const { socket, take } = await ready();
    socket.write(request(CMD.READ, 0, MIB));
    const all = take(16 + MIB);
    await vi.waitFor(() => expect(server.counters.reads).toBe(1));
    await server.close();
    expect((await all).length).toBe(16 + MIB);
    await server.listen({ socket: path });
  });
});
