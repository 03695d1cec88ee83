import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type Client, chunks, client, exportOf, extendedRequest, pmemDisk, u32, u64 } from '../test/fixture.js';
import type { NbdDisk } from './disk.js';
import { BASE_ALLOCATION_ID, CMD, CMD_FLAG, NBD, REPLY_TYPE } from './protocol.js';
import { PIECE_BYTES } from './serving.js';

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const SIZE = 16 * MIB;
const { PAYLOAD_LEN } = CMD_FLAG;

function talkTo(disk: NbdDisk, options = {}): Client {
  return client(disk, { headers: 'extended', ...options });
}

function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed) & 255));
}

/** A disk without bytes: data in its first `dataBytes`, and nothing else. */
function largeDisk(sizeBytes: number, dataBytes = 0): NbdDisk {
  const extent = (offset: number, length: number): { length: number; state: number } => (offset < dataBytes ? { length: Math.min(length, dataBytes - offset), state: 0 } : { length, state: 3 });
  return { ...pmemDisk(SIZE, extent), sizeBytes };
}

/** The error of a reply in one chunk, or 0 of one that is empty. */
function errorOf(heard: Buffer): number {
  const [{ type, flags, data }, ...more] = chunks(heard) as [ReturnType<typeof chunks>[number]];
  expect([flags, more]).toEqual([1, []]);
  if (type === REPLY_TYPE.NONE) return expect(data.length).toBe(0), NBD.OK;
  expect(type).toBe(REPLY_TYPE.ERROR);
  return data.readUInt32BE(0);
}

describe('extended headers', () => {
  test('a write, a flush and a read, byte by byte', () => {
    const { say, heard } = talkTo(pmemDisk(SIZE));
    say(Buffer.concat([Buffer.from('21e41c71002000010000000000000007' + '0000000000002000' + '0000000000000200', 'hex'), pattern(512, 1)]));
    expect(heard().toString('hex')).toBe('6e8a278c000100000000000000000007' + '0000000000002000' + '0000000000000000');
    say(extendedRequest(CMD.FLUSH, 0, 0, { cookie: 8n }));
    expect(heard().toString('hex')).toBe('6e8a278c000100000000000000000008' + '0000000000000000' + '0000000000000000');
    say(extendedRequest(CMD.READ, 8192, 512, { cookie: 2n ** 64n - 1n }));
    expect(heard().toString('hex')).toBe('6e8a278c00010001ffffffffffffffff' + '0000000000002000' + '0000000000000208' + '0000000000002000' + pattern(512, 1).toString('hex'));
  });

  test('a hole and an error repeat the offset of their request, whatever it is', () => {
    const { say, heard } = talkTo(largeDisk(SIZE));
    say(extendedRequest(CMD.READ, 8192, 4096));
    expect(heard().toString('hex')).toBe('6e8a278c000100020000000000000001' + '0000000000002000' + '000000000000000c' + '0000000000002000' + '00001000');
    say(extendedRequest(CMD.READ, 2n ** 64n - 511n, 512));
    expect(heard().toString('hex')).toBe('6e8a278c000180010000000000000001' + 'fffffffffffffe01' + '0000000000000006' + '00000016' + '0000');
  });

  test.each<[string, Buffer, number]>([
    ['a read over the end', extendedRequest(CMD.READ, SIZE - 512, 1024), NBD.EINVAL],
    ['a read of 2^63', extendedRequest(CMD.READ, 0, 2n ** 63n), NBD.EINVAL],
    ['zeros of 2^64 less a sector', extendedRequest(CMD.WRITE_ZEROES, 0, 2n ** 64n - 512n), NBD.ENOSPC],
    ['a status of 2^64 less a sector', extendedRequest(CMD.BLOCK_STATUS, 512, 2n ** 64n - 512n), NBD.EINVAL],
    ['a cache hint for 8 GiB that are not there', extendedRequest(CMD.CACHE, 0, 2 ** 33), NBD.EINVAL],
    ['a write that does not tell of its payload, and so has none', extendedRequest(CMD.WRITE, 0, 512, { flags: 0 }), NBD.EINVAL],
    ['a write over the end', extendedRequest(CMD.WRITE, SIZE - 512, 1024, { payload: pattern(1024, 1) }), NBD.ENOSPC],
    ['a write with FUA', extendedRequest(CMD.WRITE, 0, 512, { flags: PAYLOAD_LEN | CMD_FLAG.FUA, payload: pattern(512, 1) }), NBD.OK],
    ['a read with a payload', extendedRequest(CMD.READ, 0, 512, { payload: pattern(512, 1) }), NBD.EINVAL],
    ['a flush with a payload', extendedRequest(CMD.FLUSH, 0, 3 * MIB, { payload: new Uint8Array(3 * MIB) }), NBD.EINVAL],
    ['an unknown command with a payload', extendedRequest(99, 0, 100, { payload: pattern(100, 1) }), NBD.EINVAL],
    ['a flush with an empty payload', extendedRequest(CMD.FLUSH, 0, 0, { flags: PAYLOAD_LEN }), NBD.EINVAL],
    ['a status about an unknown context', extendedRequest(CMD.BLOCK_STATUS, 0, 12, { payload: Buffer.concat([u64(512), u32(9)]) }), NBD.EINVAL],
    ['a status about no context', extendedRequest(CMD.BLOCK_STATUS, 0, 8, { payload: u64(512) }), NBD.EINVAL],
    ['a status about the same context twice', extendedRequest(CMD.BLOCK_STATUS, 0, 16, { payload: Buffer.concat([u64(512), u32(BASE_ALLOCATION_ID), u32(BASE_ALLOCATION_ID)]) }), NBD.EINVAL],
    ['a status with half a context', extendedRequest(CMD.BLOCK_STATUS, 0, 10, { payload: pattern(10, 1) }), NBD.EINVAL],
    ['a status about 2^63 bytes of a context', extendedRequest(CMD.BLOCK_STATUS, 0, 12, { payload: Buffer.concat([u64(2n ** 63n), u32(BASE_ALLOCATION_ID)]) }), NBD.EINVAL],
  ])('%s', (_, bytes, error) => {
    const { say, heard } = talkTo(pmemDisk(SIZE));
    say(bytes, [1, 31, 5, 7]);
    expect(errorOf(heard())).toBe(error);
    say(extendedRequest(CMD.FLUSH, 0, 0, { cookie: 9n }));
    expect(chunks(heard())).toMatchObject([{ cookie: 9n, type: REPLY_TYPE.NONE }]); // the stream is still in step
  });

  test.each([
    ['a compact request', Buffer.concat([Buffer.from('25609513', 'hex'), Buffer.alloc(28)])],
    ['a goodbye', extendedRequest(CMD.DISC, 0, 0)],
    ['a payload beyond what was agreed', extendedRequest(CMD.WRITE, 0, 32 * MIB + 512)],
    ['a payload of 2^64 less a sector', extendedRequest(CMD.BLOCK_STATUS, 0, 2n ** 64n - 512n, { flags: PAYLOAD_LEN })],
  ])('%s ends the session', (_, bytes) => {
    const talk = talkTo(pmemDisk(SIZE));
    talk.say(bytes);
    talk.take();
    expect(talk.closed).toBe(true);
  });

  test.each<[string, Buffer]>([
    ['asked for plainly', extendedRequest(CMD.BLOCK_STATUS, MIB, 2 ** 37)],
    ['of the one context by its id', extendedRequest(CMD.BLOCK_STATUS, MIB, 12, { payload: Buffer.concat([u64(2 ** 37), u32(BASE_ALLOCATION_ID)]) })],
  ])('a status %s tells 64-bit extents', (_, bytes) => {
    const { say, heard } = talkTo(largeDisk(TIB, 3 * MIB));
    say(bytes, [32, 11]);
    const [{ type, flags, offset, data }] = chunks(heard()) as [ReturnType<typeof chunks>[number]];
    expect({ type, flags, offset }).toEqual({ type: REPLY_TYPE.BLOCK_STATUS_EXT, flags: 1, offset: BigInt(MIB) });
    expect(data.equals(Buffer.concat([u32(BASE_ALLOCATION_ID), u32(2), u64(2 * MIB), u64(0), u64(2 ** 37 - 2 * MIB), u64(3)]))).toBe(true);
  });

  test('a status of more than is looked at in one turn is told in part', () => {
    const { say, heard } = talkTo(largeDisk(400 * TIB));
    say(extendedRequest(CMD.BLOCK_STATUS, 0, 400 * TIB, { flags: CMD_FLAG.REQ_ONE }));
    const [{ data }] = chunks(heard()) as [ReturnType<typeof chunks>[number]];
    expect([data.readUInt32BE(4), Number(data.readBigUInt64BE(8)), Number(data.readBigUInt64BE(16))]).toEqual([1, 2 ** 38, 3]);
  });

  test('zeros of more than 4 GiB are answered once, when the last byte is zero', async () => {
    const zeroed: number[] = [];
    const disk = { ...largeDisk(TIB), writeZeroes: (_: number, length: number) => (zeroed.push(length), NBD.OK) };
    const talk = talkTo(disk);
    talk.say(extendedRequest(CMD.WRITE_ZEROES, 2 ** 39, 5 * 2 ** 30));
    await vi.waitFor(() => expect(errorOf(talk.heard())).toBe(NBD.OK));
    expect(zeroed.reduce((sum, length) => sum + length, 0)).toBe(5 * 2 ** 30);
  });

  test('a read of many pieces has chunks of one request, and stays whole behind a slow client', () => {
    const disk = pmemDisk(SIZE);
    const talk = talkTo(disk, { slow: true });
    const data = pattern(3 * PIECE_BYTES + 512, 1);
    talk.say(extendedRequest(CMD.WRITE, 512, data.length, { payload: data }), [10, 100, 70_000]);
    for (let i = 0; i < 4; i++) talk.say(extendedRequest(CMD.READ, 512, data.length, { cookie: BigInt(i + 2) }));
    const heard = chunks(talk.heard());
    for (let i = 0; i < 4; i++) {
      const parts = heard.filter(({ cookie }) => cookie === BigInt(i + 2));
      expect(parts.map(({ offset, flags }) => [offset, flags])).toEqual([0, 0, 0, 1].map((flags) => [512n, flags]));
      expect(Buffer.concat(parts.map((part) => part.data.subarray(8))).equals(data)).toBe(true);
    }
  });

  test('a machine without power answers ESHUTDOWN', () => {
    const talk = talkTo(pmemDisk(SIZE));
    talk.transmission.rebind(undefined);
    for (const bytes of [
      extendedRequest(CMD.READ, 0, 512), extendedRequest(CMD.WRITE, 0, 512, { payload: pattern(512, 1) }), extendedRequest(CMD.FLUSH, 0, 0),
      extendedRequest(CMD.BLOCK_STATUS, 0, 12, { payload: Buffer.concat([u64(512), u32(BASE_ALLOCATION_ID)]) }),
    ]) {
      talk.say(bytes);
      expect(errorOf(talk.heard())).toBe(NBD.ESHUTDOWN);
    }
  });

  test('a read-only export refuses to be written', () => {
    const disk = pmemDisk(SIZE);
    const { say, heard } = talkTo(disk, { exported: { ...exportOf(disk), readOnly: true } });
    say(extendedRequest(CMD.WRITE, 0, 512, { payload: pattern(512, 1) }));
    expect(errorOf(heard())).toBe(NBD.EPERM);
  });

  test('random requests, cut at random, say what compact ones do', () => {
    const disk = pmemDisk(SIZE);
    const command = fc.record({
      type: fc.constantFrom(CMD.READ, CMD.WRITE, CMD.WRITE_ZEROES, CMD.FLUSH, CMD.CACHE, CMD.TRIM),
      sector: fc.nat(SIZE / 512 + 4), count: fc.nat(8), seed: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 3000 })), (commands, cuts) => {
        const extended = talkTo(disk);
        const compact = client(disk, { headers: 'structured' });
        for (const { type, sector, count, seed } of commands) {
          const length = count * 512;
          const payload = type === CMD.WRITE ? pattern(length, seed) : undefined;
          const long = extendedRequest(type, sector * 512, length, payload ? { payload } : {});
          const short = Buffer.concat([Buffer.from('25609513', 'hex'), Buffer.from([0, 0, 0, type]), u64(1), u64(sector * 512), u32(length), payload ?? Buffer.alloc(0)]);
          extended.say(long, cuts);
          compact.say(short);
          const [said] = chunks(extended.heard()) as [ReturnType<typeof chunks>[number]];
          const heard = compact.heard();
          if (heard.readUInt32BE(0) === 0x67446698) expect(said.type === REPLY_TYPE.NONE ? NBD.OK : said.data.readUInt32BE(0)).toBe(heard.readUInt32BE(4));
          else expect(chunks(heard)).toMatchObject([{ type: said.type, data: said.data }]);
        }
        extended.transmission.free();
        compact.transmission.free();
      }),
      { numRuns: 40 },
    );
  });
});
