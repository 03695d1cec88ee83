/**
 * A server on a Unix socket with one pmem disk, and clients that speak to it byte by byte.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KernelError } from '@holdfast/lib';
import type { NbdDisk } from '../src/disk.js';
import { CMD, CMD_FLAG, OPT } from '../src/protocol.js';
import { type NbdServer, createNbdServer } from '../src/server.js';
import { CLIENT_FLAGS, contextData, exportOf, extendedRequest, goData, option, pmemDisk, request, u32, u64 } from './fixture.js';

export const DISK_BYTES = 16 * 2 ** 20;

/** A plain session that does a bit of everything. */
export const SESSION = Buffer.concat([
  CLIENT_FLAGS,
  option(OPT.LIST),
  option(OPT.STRUCTURED_REPLY),
  option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation'])),
  option(OPT.GO, goData('pmem0', [3])),
  request(CMD.WRITE, 0, 512, { payload: new Uint8Array(512).fill(7) }),
  request(CMD.READ, 0, 8192),
  request(CMD.BLOCK_STATUS, 0, DISK_BYTES),
  request(CMD.FLUSH, 0, 0),
  request(CMD.DISC, 0, 0),
]);
/** The same without its end: what comes next is a request. */
export const OPEN_SESSION = SESSION.subarray(0, -28);

/** The same with extended headers. */
export const EXTENDED_SESSION = Buffer.concat([
  CLIENT_FLAGS,
  option(OPT.EXTENDED_HEADERS),
  option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation'])),
  option(OPT.GO, goData('pmem0', [3])),
  extendedRequest(CMD.WRITE, 0, 512, { payload: new Uint8Array(512).fill(7) }),
  extendedRequest(CMD.READ, 0, 8192),
  extendedRequest(CMD.BLOCK_STATUS, 0, 12, { flags: CMD_FLAG.PAYLOAD_LEN, payload: Buffer.concat([u64(DISK_BYTES), u32(1)]) }),
  extendedRequest(CMD.FLUSH, 0, 0),
  extendedRequest(CMD.DISC, 0, 0),
]);
export const OPEN_EXTENDED_SESSION = EXTENDED_SESSION.subarray(0, -32);

export interface Served {
  readonly server: NbdServer;
  opened(): Socket;
  /** Say these bytes and hear the server out. */
  say(bytes: Uint8Array): Promise<Buffer>;
  /** A well-behaved client, to the end of its session: how many bytes it got. */
  session(): Promise<number>;
  stop(): Promise<void>;
}

/** The exports: pmem0, and `starved`, whose machine has no memory for clients. */
export async function serve(): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
  const disk = pmemDisk(DISK_BYTES);
  const starved: NbdDisk = {
    ...disk,
    allocSlab() {
      throw new KernelError('ENOMEM', 'no memory for this test');
    },
  };
  const server = createNbdServer({ exports: () => [exportOf(disk), exportOf(starved, 'starved')], finishMs: 1 });
  await server.listen({ socket: join(folder, 'socket') });
  const opened = (): Socket => connect(join(folder, 'socket')).on('error', () => {});
  const say = async (bytes: Uint8Array): Promise<Buffer> => {
    const socket = opened();
    const heard: Buffer[] = [];
    socket.on('data', (data) => heard.push(data));
    socket.write(bytes);
    await closed(socket);
    return Buffer.concat(heard);
  };
  return {
    server,
    opened,
    say,
    session: async () => (await say(SESSION)).length,
    async stop() {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Whatever error comes before: the server may be gone before all is written. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
