import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cachedDisk, exportOf, pmemDisk } from '../../test/fixture.js';
import { NBD, STATE_HOLE, STATE_ZERO, TRANSMISSION, type Headers } from '../protocol.js';
import { type NbdServer, createNbdServer } from '../server.js';
import { NbdEndedError, NbdProtocolError, NbdRefusedError, NbdReplyError } from './client-errors.js';
import { type NbdClient, connectNbd } from './nbd-client.js';

const MIB = 2 ** 20;
const SIZE = 16 * MIB;
const HOLE = STATE_HOLE | STATE_ZERO;

let folder: string;
let socket: string;
let server: NbdServer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
  socket = join(folder, 'socket');
  const [pmem, drive] = [pmemDisk(SIZE), cachedDisk(SIZE)];
  server = createNbdServer({ exports: () => [exportOf(pmem), exportOf(drive, 'sda'), exportOf(undefined, 'off')] });
  await server.listen({ socket });
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed) & 255));
}

describe.each<[Headers]>([['simple'], ['structured'], ['extended']])('with %s headers a client', (headers) => {
  let client: NbdClient;
  beforeEach(async () => (client = await connectNbd({ socket, name: 'sda' }, { headers })));
  afterEach(() => client.close());

  test('knows what it has got', () => {
    expect(client).toMatchObject({ sizeBytes: SIZE, headers, minBlock: 512, allocationId: headers === 'simple' ? undefined : 1 });
    expect(client.flags & TRANSMISSION.SEND_TRIM).not.toBe(0);
  });

  test('reads what it wrote, of any length, in any order', async () => {
    const parts = Array.from({ length: 40 }, (_, i) => ({ at: i * 131_072, bytes: pattern(512 * (1 + ((i * 37) % 200)), i) }));
    await Promise.all(parts.map(({ at, bytes }, i) => client.write(at, bytes, { fua: i % 3 === 0 })));
    await client.flush();
    const back = await Promise.all([...parts].reverse().map(({ at, bytes }) => client.read(at, bytes.length)));
    expect(back.reverse().every((bytes, i) => bytes.equals(parts[i]!.bytes))).toBe(true);
  });

  test('reads holes, and what is partly one, as zeros', async () => {
    await client.write(2 * MIB, pattern(512, 1));
    const bytes = await client.read(MIB, 2 * MIB);
    expect(bytes.equals(Buffer.concat([Buffer.alloc(MIB), pattern(512, 1), Buffer.alloc(MIB - 512)]))).toBe(true);
  });

  test('zeroes and trims', async () => {
    await client.write(0, pattern(4096, 1));
    await client.writeZeroes(0, 512, { fua: true });
    await client.trim(1024, 512, { fua: true });
    await expect(client.writeZeroes(2048, 512, { fastZero: true, noHole: true })).rejects.toMatchObject({ code: 'ENOTSUP' });
    const bytes = await client.read(0, 4096);
    expect([bytes.subarray(0, 512).equals(Buffer.alloc(512)), bytes.subarray(512, 1024).equals(pattern(4096, 1).subarray(512, 1024))]).toEqual([true, true]);
  });

  test('knows where data is, if the server was asked to tell', async () => {
    await client.write(4 * MIB, pattern(512, 1));
    if (headers === 'simple') return expect(client.blockStatus(0, SIZE)).rejects.toEqual(new NbdReplyError(NBD.EINVAL));
    expect(await client.blockStatus(0, SIZE)).toEqual([{ length: 4 * MIB, state: HOLE }, { length: 2 * MIB, state: 0 }, { length: 10 * MIB, state: HOLE }]);
    expect(await client.blockStatus(4 * MIB, SIZE / 2, { one: true })).toEqual([{ length: 2 * MIB, state: 0 }]);
  });

  test('gets the errors of its requests, each its own', async () => {
    const ends = await Promise.allSettled([client.read(SIZE, 512), client.write(SIZE, pattern(512, 1)), client.read(0, 512), client.read(0, 0)]);
    expect(ends.map((end) => (end.status === 'rejected' ? (end.reason as NbdReplyError).code : 'fine'))).toEqual(['EINVAL', 'ENOSPC', 'fine', 'EINVAL']);
  });

  test.each([[-512, 512], [0.5, 512], [0, -1], [2 ** 53, 512], [0, NaN]])('refuses to ask for %d, %d', async (offset, length) => {
    await expect(client.read(offset, length)).rejects.toThrow(RangeError);
  });

  test('ends when what is on its way is answered', async () => {
    const last = Promise.all([client.write(0, pattern(MIB, 1)), client.read(0, MIB)]);
    const closed = client.close();
    await expect(client.flush()).rejects.toThrow(NbdEndedError);
    await closed;
    expect((await last)[1].equals(pattern(MIB, 1))).toBe(true);
    await expect(client.read(0, 512)).rejects.toThrow(NbdEndedError);
  });

  test('is told when the server drops it', async () => {
    const read = client.read(0, 8 * MIB);
    server.connections.forEach((connection) => connection.drop());
    await expect(read).rejects.toThrow(NbdEndedError);
    await client.closed;
    await expect(client.flush()).rejects.toThrow('the connection has ended');
  });
});

describe('connecting', () => {
  test('by a URI, and over TCP', async () => {
    const tcp = createNbdServer({ exports: () => [exportOf(pmemDisk(SIZE))] });
    await tcp.listen({ port: 0 });
    const { port } = tcp.address() as { port: number };
    for (const uri of [`nbd+unix:///pmem0?socket=${socket}`, `nbd+unix:///?socket=${socket}`, `nbd://127.0.0.1:${port}/pmem0`]) {
      const client = await connectNbd(uri);
      await client.write(0, pattern(512, 2));
      expect((await client.read(0, 512)).equals(pattern(512, 2))).toBe(true);
      await client.close();
    }
    await tcp.close();
  });

  test('fails where there is no such export, no power, nobody, or somebody else', async () => {
    await expect(connectNbd({ socket, name: 'nobody' })).rejects.toThrow(new NbdRefusedError("no export 'nobody'; there are: 'pmem0', 'sda', 'off'"));
    await expect(connectNbd({ socket, name: 'off' })).rejects.toThrow('has no power');
    await expect(connectNbd({ socket: join(folder, 'none') })).rejects.toMatchObject({ code: 'ENOENT' });
    const other = await impostor((peer) => void peer.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(connectNbd({ socket: other.path })).rejects.toThrow(NbdProtocolError);
    other.server.close();
    const silent = await impostor((peer) => void peer.end());
    await expect(connectNbd({ socket: silent.path })).rejects.toThrow(NbdEndedError);
    silent.server.close();
  });
});

let impostors = 0;
async function impostor(serve: (peer: Socket) => void): Promise<{ path: string; server: Server }> {
  const path = join(folder, `impostor-${impostors++}`);
  const other = createServer(serve);
  await new Promise<void>((resolve) => other.listen(path, resolve));
  return { path, server: other };
}
