/**
 * Clients that mean harm or are broken: the server stays up, and who sits beside them notices nothing.
 *
 *   NBD_FUZZ=1000000 npx vitest run packages/nbd/src/hostile.test.ts    sends so many messages to the fuzzed sessions
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CLIENT_FLAGS, chunks, client, exportOf, extendedRequest, goData, option, pmemDisk, request, u32, u64 } from '../test/fixture.js';
import { DISK_BYTES, EXTENDED_SESSION, OPEN_EXTENDED_SESSION, OPEN_SESSION, SESSION, type Served, closed, serve } from '../test/served.js';
import { SLAB_BYTES } from './disk.js';
import { type Handshake, createHandshake } from './handshake.js';
import { CMD, CMD_FLAG, type Headers, OPT } from './protocol.js';

const MIB = 2 ** 20;
const MESSAGES = Number(process.env['NBD_FUZZ'] ?? 4000);
const MESSAGES_A_RUN = 40;
/** Clients that disconnect at a time. */
const AT_ONCE = 32;

let served: Served;
beforeEach(async () => (served = await serve()));
afterEach(() => served.stop());

describe('a server among hostile clients', () => {
  test.each([['a session', SESSION], ['one with extended headers', EXTENDED_SESSION]])('takes a disconnect at every byte of %s', async (_, said) => {
    const whole = await served.session();
    const leave = async (end: number): Promise<void> => {
      const socket = served.opened();
      socket.write(said.subarray(0, end), () => socket.destroy());
      await closed(socket);
    };
    for (let end = 0; end < said.length; end += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, said.length - end) }, (_, i) => leave(end + i)));
    }
    expect(await served.session()).toBe(whole);
    await vi.waitFor(() => expect(served.server.connections.size).toBe(0), { timeout: 20_000 });
  });

  test('holds no more for slow clients than their slabs, and serves others meanwhile', async () => {
    const COUNT = 60;
    const slow = Array.from({ length: COUNT }, () => {
      const socket = served.opened().pause();
      socket.write(Buffer.concat([OPEN_SESSION, ...Array.from({ length: 64 }, () => request(CMD.READ, 0, MIB))]));
      return socket;
    });
    await vi.waitFor(() => expect(served.server.connections.size).toBe(COUNT), { timeout: 20_000 });
    expect(await served.session()).toBeGreaterThan(8192);
    expect(served.server.counters.bytesRead).toBeLessThan((COUNT + 1) * (2 * SLAB_BYTES + MIB));
    for (const socket of slow) socket.destroy();
    await vi.waitFor(() => expect(served.server.connections.size).toBe(0), { timeout: 20_000 });
  });

  test('loses a client that its machine has no memory for, and no other', async () => {
    await served.say(Buffer.concat([CLIENT_FLAGS, option(OPT.GO, goData('starved', [3]))]));
    expect(await served.session()).toBeGreaterThan(8192);
  });

  test.each<[string, Buffer]>([
    ['options without end', Buffer.concat([CLIENT_FLAGS, ...Array.from({ length: 1000 }, () => option(OPT.LIST))])],
    ['an option that says it has 4 GiB', Buffer.concat([CLIENT_FLAGS, option(OPT.LIST).subarray(0, 12), u32(0xffff_ffff), Buffer.alloc(MIB)])],
    ['a name of 4 GiB', Buffer.concat([CLIENT_FLAGS, option(OPT.GO, Buffer.concat([u32(0xffff_ffff), Buffer.alloc(60_000)])), option(OPT.ABORT)])],
    ['a billion queries', Buffer.concat([CLIENT_FLAGS, option(OPT.STRUCTURED_REPLY), option(OPT.LIST_META_CONTEXT, Buffer.concat([u32(0), u32(1e9)])), option(OPT.ABORT)])],
    ['flags that nobody knows', Buffer.concat([u32(0xffff_ffff), option(OPT.LIST)])],
    ['a request in the handshake', Buffer.concat([CLIENT_FLAGS, request(CMD.READ, 0, 512)])],
    ['an old greeting of its own', Buffer.from('NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53', 'latin1')],
    ['a write that says it has 4 GiB', Buffer.concat([OPEN_SESSION, request(CMD.WRITE, 0, 0xffff_ffff), Buffer.alloc(MIB)])],
    ['offsets that overflow', Buffer.concat([OPEN_SESSION, request(CMD.READ, 2n ** 64n - 512n, 1024), request(CMD.TRIM, 2n ** 63n, 0xffff_fe00), request(CMD.DISC, 0, 0)])],
    ['an extended payload of 2^63', Buffer.concat([OPEN_EXTENDED_SESSION, extendedRequest(CMD.WRITE, 0, 2n ** 63n), Buffer.alloc(MIB)])],
    ['an extended payload of 4 GiB and a sector', Buffer.concat([OPEN_EXTENDED_SESSION, extendedRequest(CMD.TRIM, 0, 2 ** 32 + 512, { flags: CMD_FLAG.PAYLOAD_LEN })])],
    ['extended lengths that overflow', Buffer.concat([
      OPEN_EXTENDED_SESSION, ...[CMD.READ, CMD.TRIM, CMD.WRITE_ZEROES, CMD.CACHE, CMD.BLOCK_STATUS].map((type) => extendedRequest(type, 2n ** 64n - 512n, 2n ** 64n - 512n)), extendedRequest(CMD.DISC, 0, 0),
    ])],
    ['a compact request after extended headers', Buffer.concat([OPEN_EXTENDED_SESSION, request(CMD.FLUSH, 0, 0), Buffer.alloc(4)])],
    ['garbage between requests', Buffer.concat([OPEN_SESSION, Buffer.from('x'), request(CMD.FLUSH, 0, 0)])],
  ])('ends with %s, and goes on', async (_, bytes) => {
    await served.say(bytes);
    expect(await served.session()).toBeGreaterThan(8192);
  });
});

const anyFields = fc.record({
    type: fc.oneof(fc.nat(9), fc.nat(65_535)),
    flags: fc.oneof(fc.constant(0), fc.nat(63), fc.nat(65_535)),
    offset: fc.oneof(fc.nat(DISK_BYTES), fc.nat(32).map((sector) => sector * 512), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    length: fc.oneof(fc.nat(16).map((sectors) => sectors * 512), fc.nat(2 * DISK_BYTES), fc.nat(2 ** 32 - 1)),
    longer: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    payload: fc.boolean(),
  });
const payloadOf = (there: boolean, length: number): Uint8Array => new Uint8Array(there && length < MIB ? length : 0);
const anyRequest = anyFields.map(({ type, flags, offset, length, payload }) => request(type, offset, length, { flags, payload: payloadOf(payload, length) }));
const anyExtended = fc.oneof(
  anyFields.map(({ type, flags, offset, length, payload }) => extendedRequest(type, offset, length, { flags: payload ? flags | CMD_FLAG.PAYLOAD_LEN : flags, payload: payloadOf(payload, length) })),
  anyFields.map(({ type, flags, offset, longer }) => extendedRequest(type, offset, longer, { flags })),
  // A block status about a context, known or not, of any length.
  anyFields.map(({ flags, offset, length, longer }) => extendedRequest(CMD.BLOCK_STATUS, offset, 12, { flags: flags | CMD_FLAG.PAYLOAD_LEN, payload: Buffer.concat([u64(length < MIB ? BigInt(length) : longer), u32(length % 3)]) })),
);

/** A message with some of its bytes changed, a part cut off or noise behind it. */
const mangled = (message: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> =>
  fc.tuple(message, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }), fc.nat(20), fc.uint8Array({ maxLength: 8 })).map(([bytes, changes, cut, noise]) => {
    const copy = Buffer.from(bytes);
    for (const [at, value] of changes) copy[at % copy.length] = value;
    return cut < 3 ? Buffer.concat([copy.subarray(0, copy.length - cut), noise]) : copy;
  });

describe('any messages', () => {
  const shared = pmemDisk(DISK_BYTES);
  const runs = { numRuns: Math.ceil(MESSAGES / MESSAGES_A_RUN / 2), endOnFailure: true };
  const several = (message: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer[]> => fc.array(message, { minLength: MESSAGES_A_RUN, maxLength: MESSAGES_A_RUN });

  const anySession = fc.constantFrom<Headers>('simple', 'structured', 'extended').chain((headers) => {
    const message = headers === 'extended' ? anyExtended : anyRequest;
    return fc.record({ headers: fc.constant(headers), messages: several(fc.oneof({ weight: 3, arbitrary: message }, { weight: 1, arbitrary: mangled(message) })) });
  });

  test('of a session are answered or end it', () => {
    fc.assert(
      fc.property(anySession, ({ headers, messages }) => {
        let talk = client(shared, { headers });
        for (const message of messages) {
          talk.say(message);
          const heard = talk.heard();
          if (headers === 'extended') chunks(heard); // throws at what is none
          if (!talk.closed) continue;
          talk.transmission.free();
          talk = client(shared, { headers });
        }
        talk.transmission.free();
      }),
      runs,
    );
    const after = client(shared);
    after.say(request(CMD.FLUSH, 0, 0));
    expect(after.heard().readUInt32BE(4)).toBe(0);
  }, 3_600_000);

  test('of a handshake are answered or end it', () => {
    const anyOption = fc.tuple(fc.oneof(fc.nat(12), fc.nat(2 ** 32 - 1)), fc.oneof(fc.constant(goData('pmem0', [3])), fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)))).map(([nr, data]) => option(nr, data));
    fc.assert(
      fc.property(several(fc.oneof({ weight: 3, arbitrary: anyOption }, { weight: 1, arbitrary: mangled(anyOption) })), (messages) => {
        const begun = (): Handshake => {
          const handshake = createHandshake({ exports: () => [exportOf(shared)], tls: 'offered' });
          handshake.feed(CLIENT_FLAGS);
          return handshake;
        };
        let handshake = begun();
        for (const message of messages) if (handshake.feed(message).next !== 'more') handshake = begun();
      }),
      runs,
    );
  }, 3_600_000);
});
