import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bttDisk, cachedDisk, client, exportOf, pmemDisk, request } from '../test/fixture.js';
import { createByteDisk } from './byte-disk.js';
import type { NbdDisk } from './disk.js';
import { CMD, CMD_FLAG, NBD } from './protocol.js';

const MIB = 2 ** 20;
/** Where requests fall: over several blocks of any size. */
const SPAN = 3 * 4096 + 100;

const DISKS: readonly [string, () => NbdDisk][] = [
  ['sectors of 512 bytes', () => pmemDisk(16 * MIB)],
  ['sectors of 4096 bytes', () => cachedDisk(16 * MIB, { sectorBytes: 4096 })],
  ['a BTT of 4096-byte sectors', () => bttDisk(32 * MIB, 4096)],
];

const anyStep = fc.record({
  kind: fc.constantFrom('write', 'fua', 'zero', 'read'),
  offset: fc.nat(SPAN - 1),
  length: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: SPAN })),
  fill: fc.integer({ min: 1, max: 255 }),
});

/** The error and the payload of one plain reply. */
function ask(talk: ReturnType<typeof client>, bytes: Buffer): { error: number; payload: Buffer } {
  talk.say(bytes);
  const heard = talk.heard();
  return { error: heard.readUInt32BE(4), payload: heard.subarray(16) };
}

describe.each(DISKS)('requests of any bytes to a disk with %s', (_what, make) => {
  test('do what they would to a plain array', () => {
    const talk = client(createByteDisk(make()));
    const model = new Uint8Array(SPAN);
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 1, maxLength: 12 }), (steps) => {
        for (const { kind, offset, length: most, fill } of steps) {
          const length = Math.min(most, SPAN - offset);
          if (kind === 'read') {
            expect(ask(talk, request(CMD.READ, offset, length))).toEqual({ error: NBD.OK, payload: Buffer.from(model.slice(offset, offset + length)) });
            continue;
          }
          const payload = new Uint8Array(length).fill(fill);
          const bytes = kind === 'zero' ? request(CMD.WRITE_ZEROES, offset, length) : request(CMD.WRITE, offset, length, { payload, flags: kind === 'fua' ? CMD_FLAG.FUA : 0 });
          expect(ask(talk, bytes).error).toBe(NBD.OK);
          model.fill(kind === 'zero' ? 0 : fill, offset, offset + length);
        }
        expect(ask(talk, request(CMD.READ, 0, SPAN)).payload.equals(model)).toBe(true);
      }),
    );
  });

  test('that are longer than what is done at a time, too, up to the last byte', () => {
    const disk = createByteDisk(make());
    const talk = client(disk);
    const payload = Buffer.from(Array.from({ length: MIB + 4095 }, (_, i) => i % 251));
    const offset = disk.sizeBytes - payload.length;
    expect(ask(talk, request(CMD.WRITE, offset, payload.length, { payload })).error).toBe(NBD.OK);
    expect(ask(talk, request(CMD.READ, offset, payload.length)).payload.equals(payload)).toBe(true);
    expect(ask(talk, request(CMD.READ, offset, payload.length + 1)).error).toBe(NBD.EINVAL);
  });
});

test('a trim of less than a block, and the ends of a longer one, leave what is there', () => {
  const talk = client(createByteDisk(cachedDisk(16 * MIB)));
  const payload = new Uint8Array(2048).fill(9);
  ask(talk, request(CMD.WRITE, 0, 2048, { payload }));
  expect(ask(talk, request(CMD.TRIM, 10, 400)).error).toBe(NBD.OK);
  expect(ask(talk, request(CMD.TRIM, 500, 1100)).error).toBe(NBD.OK);
  payload.fill(0, 512, 1536);
  expect(ask(talk, request(CMD.READ, 0, 2048)).payload.equals(payload)).toBe(true);
});

test('where holes are is told to the byte', () => {
  const disk = createByteDisk(pmemDisk(16 * MIB));
  const talk = client(disk, { exported: exportOf(disk), headers: 'structured' });
  talk.say(request(CMD.WRITE, 0, 1, { payload: Uint8Array.of(1) }));
  talk.heard();
  expect(disk.extent(2 * MIB - 3, 10)).toEqual({ length: 3, state: 0 });
  expect(disk.extent(2 * MIB + 1, 10)).toEqual({ length: 10, state: 3 });
});
