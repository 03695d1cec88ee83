/**
 * What brought other NBD servers down, by the number under which it was published: this one answers or hangs up, and serves the next client.
 *
 * Those of clients (CVE-2019-14842, CVE-2021-20286, CVE-2022-0485, CVE-2023-5215, CVE-2023-5871 of libnbd) have no part here.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLIENT_FLAGS, client, contextData, exportOf, goData, option, optionReplies, pmemDisk, request, u32 } from '../test/fixture.js';
import { DISK_BYTES, OPEN_SESSION, type Served, closed, serve } from '../test/served.js';
import { createHandshake } from './handshake.js';
import { CMD, INFO, NBD, OPT, REP, REP_ERR } from './protocol.js';

const MIB = 2 ** 20;
const HELLO = 18; // bytes of the greeting

let served: Served;
beforeEach(async () => (served = await serve()));
afterEach(() => served.stop());

const name = (length: number, there = 0): Buffer => Buffer.concat([u32(length), Buffer.alloc(there, 'a')]);
const typesOf = (replies: Buffer): number[] => optionReplies(replies.subarray(HELLO)).map(({ type }) => type);

describe('option after option', () => {
  test.each<[string, string, Buffer, number[]]>([
    ['CVE-2013-7441', 'a name that no export has', option(OPT.GO, goData('none', [])), [REP_ERR.UNKNOWN]],
    ['CVE-2017-15118', 'a name of 3000 bytes', option(OPT.GO, goData('a'.repeat(3000), [])), [REP_ERR.UNKNOWN]],
    ['CVE-2017-15118', 'a name of 4097 bytes', option(OPT.GO, goData('a'.repeat(4097), [])), [REP_ERR.INVALID]],
    ['CVE-2017-15119', 'data without end for an option that has none', option(OPT.LIST, Buffer.alloc(8 * MIB)), [REP_ERR.TOO_BIG]],
    ['CVE-2019-14850', 'looking again and again without opening', Buffer.concat(Array.from({ length: 50 }, () => option(OPT.INFO, goData('starved', [])))), Array.from({ length: 50 }, () => [REP.INFO, REP.INFO, REP.ACK]).flat()],
    ['CVE-2019-14851', 'contexts after information, and before structured replies', Buffer.concat([option(OPT.INFO, goData('pmem0', [])), option(OPT.SET_META_CONTEXT, contextData('pmem0', ['base:allocation']))]), [REP.INFO, REP.INFO, REP.ACK, REP_ERR.INVALID]],
    ['CVE-2022-26495', 'a name of 4 GiB less one', option(OPT.INFO, Buffer.concat([name(0xffff_ffff, 16), Buffer.alloc(2)])), [REP_ERR.INVALID]],
    ['CVE-2022-26496', 'a name that is longer than its option', option(OPT.GO, Buffer.concat([name(2000, 8), Buffer.alloc(2)])), [REP_ERR.INVALID]],
  ])('%s: %s', async (_cve, _what, options, wanted) => {
    expect(typesOf(await served.say(Buffer.concat([CLIENT_FLAGS, options, option(OPT.ABORT)])))).toEqual([...wanted, REP.ACK]);
    expect(await served.session()).toBeGreaterThan(8192);
  });

  test.each([['CVE-2011-1925'], ['CVE-2013-7441'], ['CVE-2017-7539'], ['CVE-2017-9524']])('%s: gone in the middle of the handshake', async () => {
    const socket = served.opened();
    socket.write(Buffer.concat([CLIENT_FLAGS, option(OPT.GO, goData('pmem0', [INFO.BLOCK_SIZE])).subarray(0, 20)]), () => socket.destroy());
    await closed(socket);
    expect(await served.session()).toBeGreaterThan(8192);
  });

  test('CVE-2021-3716: what was agreed on, or sent, in the clear before TLS is void', () => {
    const handshake = createHandshake({ exports: () => [exportOf(pmemDisk(DISK_BYTES))], tls: 'offered' });
    handshake.feed(Buffer.concat([CLIENT_FLAGS, option(OPT.STRUCTURED_REPLY)]));
    const injected = Buffer.concat([option(OPT.STARTTLS), option(OPT.GO, goData('pmem0', [INFO.BLOCK_SIZE])), request(CMD.WRITE, 0, 512)]);
    expect(handshake.feed(injected).next).toBe('tls');
    handshake.secured();
    expect(handshake.feed(new Uint8Array(0))).toEqual({ replies: [], next: 'more' });
    handshake.feed(option(OPT.GO, goData('pmem0', [INFO.BLOCK_SIZE])));
    expect(handshake.session()).toMatchObject({ session: { headers: 'simple' }, rest: { length: 0 } });
  });
});

describe('requests', () => {
  test.each<[string, string, Buffer]>([
    ['CVE-2005-3534', 'a write that is longer than any buffer', Buffer.concat([request(CMD.WRITE, 0, 0x7fff_ffff), Buffer.alloc(MIB, 0x41)])],
    ['CVE-2011-0530', 'a read that is', request(CMD.READ, 0, 0xffff_fff0)],
  ])('%s: %s', async (_cve, _what, bytes) => {
    await served.say(Buffer.concat([OPEN_SESSION, bytes, request(CMD.DISC, 0, 0)]));
    expect(await served.session()).toBeGreaterThan(8192);
  });

  test.each([
    ['CVE-2025-47711', 0xffff_ffff],
    ['CVE-2025-47712', 0xffff_fe00],
  ])('%s: the status of 4 GiB is told in extents that fit, or refused', (_cve, length) => {
    const large = client(pmemDisk(2 ** 33), { headers: 'structured' });
    large.say(request(CMD.BLOCK_STATUS, 0, length));
    const heard = large.heard();
    if (length % 512 === 0) {
      expect([heard.readUInt16BE(6), heard.readUInt32BE(24), heard.readUInt32BE(28)]).toEqual([5, length, 3]);
    } else expect([heard.readUInt16BE(6), heard.readUInt32BE(20)]).toEqual([0x8001, NBD.EINVAL]);
    expect(large.closed).toBe(false);
  });
});

test('CVE-2024-7409: more clients than are served, none of which says anything, and the server is closed', async () => {
  const sockets = Array.from({ length: 200 }, () => served.opened().resume());
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  await expect.poll(() => served.server.connections.size, { timeout: 20_000 }).toBe(128);
  const gone = Promise.all(sockets.filter((socket) => !socket.destroyed).map(closed));
  await served.server.close();
  await gone;
  expect(served.server.connections.size).toBe(0);
});
