import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { type Client, bttDisk, cachedDisk, chunks, client, exportOf, pmemDisk, request } from '../test/fixture.js';
import type { NbdDisk } from './disk.js';
import { CMD, CMD_FLAG, NBD, REPLY_TYPE } from './protocol.js';
import { PIECE_BYTES } from './serving.js';

const MIB = 2 ** 20;
const SIZE = 16 * MIB;
const simple = (error: number, cookie = 1n): string => `67446698${error.toString(16).padStart(8, '0')}${cookie.toString(16).padStart(16, '0')}`;

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 255);
}

describe('transmission', () => {
  test('answers the worked example of a read', () => {
    const { say, heard } = client(pmemDisk(SIZE), { headers: 'structured' });
    say(request(CMD.WRITE, 8192, 4096, { payload: pattern(4096, 1) }));
    heard();
    say(Buffer.from('25609513000000000000000000000001000000000000200000001000', 'hex'));
    const reply = heard();
    expect(reply.subarray(0, 28).toString('hex')).toBe('668e33ef000100010000000000000001000010080000000000002000');
    expect(reply.length).toBe(28 + 4096);
  });

  test('sends a hole as one where the disk knows of it', () => {
    const { say, heard } = client(pmemDisk(SIZE, (_, length) => ({ length, state: 3 })), { headers: 'structured' });
    say(request(CMD.READ, 8192, 4096));
    expect(heard().toString('hex')).toBe('668e33ef0001000200000000000000010000000c000000000000200000001000');
  });

  test('a write is read back, by both kinds of reply', () => {
    const disk = pmemDisk(SIZE);
    const data = pattern(8192, 3);
    const { say, heard } = client(disk);
    say(request(CMD.WRITE, 4096, 8192, { payload: data, flags: CMD_FLAG.FUA }));
    say(request(CMD.FLUSH, 0, 0, { cookie: 2n }));
    say(request(CMD.READ, 4096, 8192, { cookie: 3n }));
    expect(heard().toString('hex')).toBe(simple(0) + simple(0, 2n) + simple(0, 3n) + Buffer.from(data).toString('hex'));
    const other = client(disk, { headers: 'structured' });
    other.say(request(CMD.READ, 4096, 8192));
    expect(chunks(other.heard())[0]!.data.subarray(8).equals(data)).toBe(true);
  });

  test.each<[string, Buffer, number]>([
    ['a read behind the end', request(CMD.READ, SIZE, 512), NBD.EINVAL],
    ['a read over the end', request(CMD.READ, SIZE - 512, 1024), NBD.EINVAL],
    ['a read at 2^63', request(CMD.READ, 2n ** 63n, 512), NBD.EINVAL],
    ['a read off its block', request(CMD.READ, 1, 512), NBD.EINVAL],
    ['an empty read', request(CMD.READ, 0, 0), NBD.EINVAL],
    ['a read larger than was agreed', request(CMD.READ, 0, 32 * MIB + 512), NBD.EINVAL],
    ['DF without structured replies', request(CMD.READ, 0, 512, { flags: CMD_FLAG.DF }), NBD.EINVAL],
    ['a write over the end', request(CMD.WRITE, SIZE - 512, 1024, { payload: new Uint8Array(1024) }), NBD.ENOSPC],
    ['a write with a flag of another command', request(CMD.WRITE, 0, 512, { flags: CMD_FLAG.DF, payload: new Uint8Array(512) }), NBD.EINVAL],
    ['zeros over the end', request(CMD.WRITE_ZEROES, SIZE, 512), NBD.ENOSPC],
    ['zeros that must be fast, where nothing was written', request(CMD.WRITE_ZEROES, 0, 512, { flags: CMD_FLAG.FAST_ZERO }), NBD.OK],
    ['zeros that must be fast and allocated', request(CMD.WRITE_ZEROES, 0, 512, { flags: CMD_FLAG.FAST_ZERO | CMD_FLAG.NO_HOLE }), NBD.ENOTSUP],
    ['a trim, which pmem has not', request(CMD.TRIM, 0, 512), NBD.ENOTSUP],
    ['block status without a context', request(CMD.BLOCK_STATUS, 0, 512), NBD.EINVAL],
    ['an unknown command', request(99, 0, 0), NBD.EINVAL],
    ['a cache hint', request(CMD.CACHE, 0, 512), NBD.OK],
  ])('%s', (_, bytes, error) => {
    const { say, heard } = client(pmemDisk(SIZE));
    say(Buffer.concat([bytes, request(CMD.FLUSH, 0, 0, { cookie: 9n })]));
    expect(heard().toString('hex')).toBe(simple(error) + simple(0, 9n)); // the stream is still in step
  });

  test('a read-only export refuses to be written', () => {
    const disk = pmemDisk(SIZE);
    const { say, heard } = client(disk, { exported: { ...exportOf(disk), readOnly: true } });
    say(request(CMD.WRITE, 0, 512, { payload: new Uint8Array(512) }));
    expect(heard().toString('hex')).toBe(simple(NBD.EPERM));
  });

  test.each([
    ['a request without its magic', Buffer.alloc(28)],
    ['a goodbye', request(CMD.DISC, 0, 0)],
    ['a write of 4 GiB', request(CMD.WRITE, 0, 0xffff_ffff)],
  ])('%s ends the session', (_, bytes) => {
    const talk = client(pmemDisk(SIZE));
    talk.say(bytes);
    talk.take();
    expect(talk.closed).toBe(true);
  });

  test('a machine without power answers ESHUTDOWN', () => {
    const talk = client(pmemDisk(SIZE));
    const write = request(CMD.WRITE, 0, 512, { payload: pattern(512, 1) });
    talk.say(write.subarray(0, 100));
    talk.transmission.rebind(undefined);
    talk.say(write.subarray(100));
    talk.say(request(CMD.READ, 0, 512, { cookie: 2n }));
    expect(talk.heard().toString('hex')).toBe(simple(NBD.ESHUTDOWN) + simple(NBD.ESHUTDOWN, 2n));
  });

  test('a request that came half before a power cycle is carried out after it', () => {
    const talk = client(pmemDisk(SIZE));
    const data = pattern(512, 1);
    const write = request(CMD.WRITE, 0, 512, { payload: data });
    talk.say(write.subarray(0, 100));
    talk.transmission.rebind(undefined);
    talk.transmission.rebind(pmemDisk(SIZE));
    talk.say(write.subarray(100));
    talk.say(request(CMD.READ, 0, 512, { cookie: 2n }));
    expect(talk.heard().toString('hex')).toBe(simple(0) + simple(0, 2n) + Buffer.from(data).toString('hex'));
  });

  test('block status tells runs, of one kind each', () => {
    const disk = pmemDisk(SIZE, (offset, length) => ({ length: Math.min(length, MIB - (offset % MIB)), state: offset < 2 * MIB ? 3 : 0 }));
    const { say, heard } = client(disk, { headers: 'structured' });
    say(request(CMD.BLOCK_STATUS, MIB / 2, SIZE - MIB / 2));
    say(request(CMD.BLOCK_STATUS, MIB / 2, SIZE - MIB / 2, { flags: CMD_FLAG.REQ_ONE }));
    const [all, one] = chunks(heard());
    expect(all).toMatchObject({ type: REPLY_TYPE.BLOCK_STATUS, flags: 1 });
    expect(all!.data.toString('hex')).toBe('000000010018000000000003' + '00e0000000000000');
    expect(one!.data.toString('hex')).toBe('000000010018000000000003');
  });

  test.each<[string, (sizeBytes: number) => NbdDisk, number]>([
    ['pmem', pmemDisk, NBD.ENOTSUP],
    ['a drive with a cache', cachedDisk, NBD.OK],
  ])('%s tells what is written, and zeroes the rest at no cost', (_, makeDisk, fastOverData) => {
    const disk = makeDisk(32 * MIB);
    const { say, heard } = client(disk, { headers: 'structured' });
    const status = (): string => {
      say(request(CMD.BLOCK_STATUS, 0, 32 * MIB));
      const { data } = chunks(heard())[0]!;
      return Array.from({ length: (data.length - 4) / 8 }, (_, i) => `${data.readUInt32BE(4 + 8 * i) / MIB}:${data.readUInt32BE(8 + 8 * i)}`).join(' ');
    };
    const errorOf = (bytes: Buffer): number => {
      say(bytes);
      return heard().readUInt32BE(4);
    };
    expect(status()).toBe('32:3');
    expect(errorOf(request(CMD.WRITE_ZEROES, 0, 32 * MIB))).toBe(NBD.OK);
    expect(status()).toBe('32:3');
    expect(errorOf(request(CMD.WRITE, 5 * MIB, 512, { payload: pattern(512, 1) }))).toBe(NBD.OK);
    expect(status()).toBe('4:3 2:0 26:3');
    expect(errorOf(request(CMD.WRITE_ZEROES, 4 * MIB, 4 * MIB, { flags: CMD_FLAG.FAST_ZERO }))).toBe(fastOverData);
    expect(errorOf(request(CMD.WRITE_ZEROES, 6 * MIB, 4 * MIB, { flags: CMD_FLAG.FAST_ZERO }))).toBe(NBD.OK);
    expect(errorOf(request(CMD.WRITE_ZEROES, 6 * MIB, 2 * MIB, { flags: CMD_FLAG.NO_HOLE }))).toBe(NBD.OK);
    // What was written whole as zeros is no hole; what the disk zeroed by itself is one again.
    expect(status()).toBe(fastOverData === NBD.OK ? '6:3 2:0 24:3' : '4:3 4:0 24:3');
    say(request(CMD.READ, 16 * MIB, 65536));
    expect(chunks(heard()).map(({ type, data }) => [type, data.readUInt32BE(8)])).toEqual([[REPLY_TYPE.OFFSET_HOLE, 65536]]);
  });

  test('zeros without end let others have their turn, and are answered when they are done', async () => {
    const disk = pmemDisk(SIZE, (_offset, length) => ({ length, state: 0 }));
    let largest = 0;
    const slow = { ...disk, sizeBytes: 2 ** 40, writeZeroes: (_: number, length: number) => ((largest = Math.max(largest, length)), NBD.OK) };
    const talk = client(slow);
    talk.say(request(CMD.WRITE_ZEROES, 2 ** 32, 2 ** 31));
    expect(talk.heard().length).toBe(0);
    await vi.waitFor(() => expect(talk.heard().toString('hex')).toBe(simple(0)));
    expect(largest).toBe(32 * MIB);
  });

  test('reads and writes of many pieces keep their bytes, however slow the client takes them', () => {
    const disk = pmemDisk(SIZE);
    for (const structured of [false, true]) {
      const talk: Client = client(disk, { headers: structured ? 'structured' : 'simple', slow: true });
      const data = pattern(5 * PIECE_BYTES + 512, structured ? 1 : 2);
      talk.say(request(CMD.WRITE, 512, data.length, { payload: data }), [10, 100, 1000, 70_000]);
      for (let i = 0; i < 4; i++) talk.say(request(CMD.READ, 512, data.length, { cookie: BigInt(i + 2) }));
      const reply = talk.heard();
      if (!structured) {
        expect(reply.length).toBe(16 + 4 * (16 + data.length));
        expect(reply.subarray(-data.length).equals(data)).toBe(true);
        continue;
      }
      const parts = chunks(reply.subarray(16)).filter(({ cookie }) => cookie === 5n);
      expect(Buffer.concat(parts.map((part) => part.data.subarray(8))).equals(data)).toBe(true);
      expect(parts.map(({ flags }) => flags)).toEqual([0, 0, 0, 0, 0, 1]);
    }
  });

  test.each<[string, () => NbdDisk]>([
    ['pmem', () => pmemDisk(SIZE)],
    ['a BTT of sectors', () => bttDisk(SIZE + 4 * MIB, 512)],
    ['a BTT of pages', () => bttDisk(SIZE + 4 * MIB, 4096)],
    ['a drive with a cache', () => cachedDisk(SIZE)],
    ['a drive of pages', () => cachedDisk(SIZE, { sectorBytes: 4096 })],
  ])('random sessions with %s, cut at random, leave what a plain array would', (_, makeDisk) => {
    const BLOCKS = 64;
    const block = fc.nat(BLOCKS);
    const command = fc.record({
      type: fc.constantFrom(CMD.WRITE, CMD.WRITE_ZEROES, CMD.READ),
      at: block,
      count: fc.integer({ min: 1, max: 16 }),
      seed: fc.nat(255),
      flags: fc.constantFrom(0, CMD_FLAG.FUA),
    });
    const disk = makeDisk();
    const unit = disk.minBlock;
    const base = disk.sizeBytes - BLOCKS * unit;
    const model = new Uint8Array(BLOCKS * unit);
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 3000 })), (commands, cuts) => {
        const talk = client(disk);
        const said: Buffer[] = [];
        const expected: Buffer[] = [];
        commands.forEach(({ type, at, count, seed, flags }, i) => {
          const cookie = BigInt(i);
          const length = count * unit;
          const fits = at * unit + length <= model.length;
          const payload = type === CMD.WRITE ? pattern(length, seed) : new Uint8Array(0);
          said.push(request(type, base + at * unit, length, { cookie, payload, flags: type === CMD.READ ? 0 : flags }));
          expected.push(Buffer.from(simple(fits ? NBD.OK : type === CMD.READ ? NBD.EINVAL : NBD.ENOSPC, cookie), 'hex'));
          if (!fits) return;
          if (type === CMD.WRITE) model.set(payload, at * unit);
          if (type === CMD.WRITE_ZEROES) model.fill(0, at * unit, at * unit + length);
          if (type === CMD.READ) expected.push(Buffer.from(model.slice(at * unit, at * unit + length)));
        });
        talk.say(Buffer.concat(said), cuts);
        expect(talk.heard().equals(Buffer.concat(expected))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });
});
