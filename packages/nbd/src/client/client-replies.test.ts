/** What a server may say, and what it must not: read without a socket. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { client as served, extendedRequest, pmemDisk, request, u32, u64 } from '../../test/fixture.js';
import { CMD, NBDMAGIC, OPT, REPLY_MAGIC, type Headers } from '../protocol.js';
import { createByteQueue } from './byte-queue.js';
import { NbdProtocolError, NbdRefusedError, NbdReplyError } from './client-errors.js';
import { clientHandshake } from './client-handshake.js';
import { type Waiting, readReplies } from './client-replies.js';

const KINDS = [CMD.READ, CMD.WRITE, CMD.BLOCK_STATUS];

interface Asked {
  readonly waiting: Map<number, Waiting>;
  readonly ends: Map<number, Waiting | Error>;
  say(bytes: Buffer): void;
}

/** A client that waits for these requests, numbered from 1. */
function asked(headers: Headers, requests: readonly { type: number; offset: number; length: number }[]): Asked {
  const waiting = new Map<number, Waiting>();
  const ends = new Map<number, Waiting | Error>();
  requests.forEach((each, i) => waiting.set(i + 1, { ...each, covered: 0, resolve: (end) => void ends.set(i + 1, end), reject: (error) => void ends.set(i + 1, error) }));
  const queue = createByteQueue(readReplies({ headers, allocationId: 1 }, waiting));
  return { waiting, ends, say: (bytes) => void queue.push(bytes) };
}

const chunk = (type: number, cookie: number, payload: Buffer, flags = 1): Buffer => Buffer.concat([Buffer.from('668e33ef', 'hex'), Buffer.from([0, flags, type >> 8, type & 255]), u64(cookie), u32(payload.length), payload]);

describe('replies', () => {
  test('in pieces, of any order, make one read', () => {
    const { say, ends } = asked('structured', [{ type: CMD.READ, offset: 1024, length: 1536 }]);
    say(chunk(1, 1, Buffer.concat([u64(2048), Buffer.alloc(512, 7)]), 0));
    say(chunk(2, 1, Buffer.concat([u64(1024), u32(512)]), 0));
    say(chunk(1, 1, Buffer.concat([u64(1536), Buffer.alloc(512, 9)]), 0));
    expect(ends.size).toBe(0);
    say(chunk(0, 1, Buffer.alloc(0)));
    expect((ends.get(1) as Waiting).data!.equals(Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 9), Buffer.alloc(512, 7)]))).toBe(true);
  });

  test('with an error fail the request, with the text of the server', () => {
    const { say, ends } = asked('structured', [{ type: CMD.READ, offset: 0, length: 512 }]);
    say(chunk(0x8001, 1, Buffer.concat([u32(5), Buffer.from([0, 4]), Buffer.from('poor')])));
    expect(ends.get(1)).toEqual(new NbdReplyError(5, 'poor'));
    expect((ends.get(1) as Error).message).toBe('NBD error EIO: poor');
  });

  const read = { type: CMD.READ, offset: 4096, length: 512 };
  test.each<[string, { type: number; offset: number; length: number }, Buffer]>([
    ['of no kind', read, Buffer.alloc(20)],
    ['for nobody', read, chunk(0, 2, Buffer.alloc(0))],
    ['with too much', read, Buffer.concat([chunk(1, 1, Buffer.alloc(8)).subarray(0, 16), u32(0xffff_ffff)])],
    ['with bytes from elsewhere', read, chunk(1, 1, Buffer.concat([u64(0), Buffer.alloc(512)]))],
    ['with bytes beyond the end', read, chunk(1, 1, Buffer.concat([u64(4608), Buffer.alloc(512)]))],
    ['with a hole of nothing', read, chunk(2, 1, Buffer.concat([u64(4096), u32(0)]))],
    ['with too little', read, chunk(1, 1, Buffer.concat([u64(4096), Buffer.alloc(256)]))],
    ['with nothing', read, chunk(0, 1, Buffer.alloc(0))],
    ['in the form of another kind', read, Buffer.concat([Buffer.from('67446698', 'hex'), u32(0), u64(1)])],
    ['with extents that nobody asked for', read, chunk(5, 1, Buffer.concat([u32(1), u32(512), u32(0)]))],
    ['without extents', { ...read, type: CMD.BLOCK_STATUS }, chunk(5, 1, u32(1))],
    ['about another context only', { ...read, type: CMD.BLOCK_STATUS }, chunk(5, 1, Buffer.concat([u32(2), u32(512), u32(0)]))],
    ['with half an error', read, chunk(0x8001, 1, u32(5))],
  ])('%s end the connection', (_, what, bytes) => {
    const { say } = asked('structured', [what]);
    expect(() => say(bytes)).toThrow(NbdProtocolError);
  });

  test('of the server of this package, with some bytes changed, are answers or end the connection', () => {
    const SIZE = 2 ** 20;
    const disk = pmemDisk(16 * 2 ** 20);
    const one = fc.record({ type: fc.constantFrom(...KINDS), offset: fc.nat(SIZE / 512).map((sector) => sector * 512), length: fc.nat(16).map((sectors) => sectors * 512) });
    const talks = (['simple', 'structured', 'extended'] as const).map((headers) => [headers, served(disk, { headers })] as const);
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...talks), fc.array(one, { minLength: 1, maxLength: 6 }), changes, fc.array(fc.integer({ min: 1, max: 999 })), ([headers, talk], requests, changed, cuts) => {
        requests.forEach(({ type, offset, length }, i) => {
          const payload = type === CMD.WRITE ? { payload: new Uint8Array(length).fill(i) } : {};
          talk.say((headers === 'extended' ? extendedRequest : request)(type, offset, length, { cookie: BigInt(i + 1), ...payload }));
        });
        const said = talk.heard();
        const { say, ends, waiting } = asked(headers, requests);
        for (const [at, value] of changed) said[at % said.length] = value;
        try {
          let at = 0;
          for (const cut of cuts) {
            say(said.subarray(at, at + cut));
            at += cut;
          }
          say(said.subarray(at));
        } catch (error) {
          expect(error).toBeInstanceOf(NbdProtocolError);
        }
        if (changed.length === 0) expect([ends.size, waiting.size]).toEqual([requests.length, 0]);
        for (const end of ends.values()) if (end instanceof Error) expect(end).toBeInstanceOf(NbdReplyError);
      }),
      { numRuns: 300 },
    );
  });

  test('to a handshake, any at all, come to terms or end it', () => {
    const greeting = Buffer.concat([u64(NBDMAGIC), Buffer.from('IHAVEOPT'), Buffer.from([0, 3])]);
    const reply = fc
      .tuple(fc.constantFrom(OPT.EXTENDED_HEADERS, OPT.STRUCTURED_REPLY, OPT.SET_META_CONTEXT, OPT.GO), fc.oneof(fc.constantFrom(1, 3, 4, 0x8000_0001), fc.nat(2 ** 32 - 1)), fc.uint8Array({ maxLength: 16 }))
      .map(([option, type, data]) => Buffer.concat([u64(REPLY_MAGIC), u32(option), u32(type), u32(data.length), data]));
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: reply }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) })), (replies) => {
        const queue = createByteQueue(clientHandshake('pmem0', 'extended', () => {}));
        try {
          for (const bytes of [greeting, ...replies]) if (queue.push(bytes)) return;
        } catch (error) {
          expect(error instanceof NbdProtocolError || error instanceof NbdRefusedError).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
