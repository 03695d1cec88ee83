/** The page area's header against bytes that came from anywhere: read as what it is, or refused, and nothing is written that was not understood. */
import fc from 'fast-check';
import { DEFAULT_RELEASE, KernelError, MIB, PAGE_SIZE, type PhysAddr, fletcher64 } from '@holdfast/lib';
import { createMachine, createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import type { DesignDevice, PageAreaPolicy, PageHost } from '../page-design.js';
import { formatPageArea, pageAreaBytes, parsePageArea, readPageArea, takePageArea, wipePageArea } from './page-area.js';

const SIZE = 16 * MIB;
const AREA = 4 * MIB;
const HEADER_AT = SIZE - PAGE_SIZE;
const VALID = formatPageArea({ design: 'device', areaBytes: AREA, pageSize: 4096, structPageSize: 64, release: DEFAULT_RELEASE.text });

/** A device with bytes at places. */
function setUp(stores: readonly (readonly [number, Uint8Array])[] = [], pageArea?: PageAreaPolicy) {
  const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }] });
  const { memory, cpu } = machine;
  for (const [at, bytes] of stores) memory.write(at as PhysAddr, bytes);
  const host = { memory, cpu, release: DEFAULT_RELEASE } as unknown as PageHost;
  const device = { name: 'pmem0', start: 0, sizeBytes: SIZE, options: { pageArea } } as unknown as DesignDevice;
  const image = (): Uint8Array => {
    const bytes = new Uint8Array(SIZE);
    memory.read(0 as PhysAddr, bytes);
    return bytes;
  };
  return { host, device, image };
}

/** The valid header, with one field changed, and its checksum right again. */
function withField(at: number, value: number): Uint8Array {
  const bytes = VALID.slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(at, value, true);
  view.setBigUint64(4088, 0n, true);
  view.setBigUint64(4088, fletcher64(bytes), true);
  return bytes;
}

function refusal(run: () => void): KernelError {
  try {
    run();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('a header', () => {
  it('says what was written', () => {
    expect(parsePageArea(VALID, SIZE)).toEqual({ design: 'device', areaBytes: AREA, pageSize: 4096, structPageSize: 64, release: DEFAULT_RELEASE.text });
  });

  it('is none with any bit of it changed', () => {
    fc.assert(fc.property(fc.nat(PAGE_SIZE * 8 - 1), (bit) => {
      const bytes = VALID.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(parsePageArea(bytes, SIZE)).toBeUndefined();
    }), { numRuns: 300 });
  });

  it('is none in random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: PAGE_SIZE, maxLength: PAGE_SIZE }), (bytes) => {
      expect(parsePageArea(bytes, SIZE)).toBeUndefined();
    }), { numRuns: 50 });
  });

  it.each([
    ['of no bytes', 32, 0],
    ['smaller than its header', 32, 2048],
    ['larger than the device', 32, SIZE + PAGE_SIZE],
    ['of half frames', 32, AREA + 512],
    ['of 2^40 bytes', 36, 256],
  ])('is none, its checksum right, if it speaks of an area %s', (_, at, value) => {
    expect(parsePageArea(withField(at, value), SIZE)).toBeUndefined();
  });
});

describe('taking an area', () => {
  it('leaves a header behind, zeros before it, and all else as it was', () => {
    const { host, device, image } = setUp([[SIZE - AREA - 1, Uint8Array.of(7)]]);
    takePageArea(host, device, 'device', AREA);
    const after = image();
    expect(after[SIZE - AREA - 1]).toBe(7);
    expect(after.subarray(SIZE - AREA, HEADER_AT).every((byte) => byte === 0)).toBe(true);
    expect(readPageArea(host, device)).toMatchObject({ design: 'device', areaBytes: AREA });
  });

  it.each([
    ['page size', 40, 8192, 'page size 8192, and this kernel\'s is 4096'],
    ['struct page size', 44, 128, 'struct page size 128, and this kernel\'s is 64'],
    ['release', 48, 0x00302e39, 'kernel 9.0, and this kernel\'s is'],
  ])('is refused where another kernel made it, by its %s, and nothing is written', (_, at, value, text) => {
    const { host, device, image } = setUp([[HEADER_AT, withField(at, value)]]);
    const before = image();
    const error = refusal(() => takePageArea(host, device, 'device', AREA));
    expect(error.code).toBe('EOPNOTSUPP');
    expect(error.message).toContain(text);
    expect(Buffer.compare(image(), before)).toBe(0);
    const again = setUp([[HEADER_AT, withField(at, value)]], 'rebuild');
    takePageArea(again.host, again.device, 'device', AREA);
    expect(readPageArea(again.host, again.device)).toMatchObject({ pageSize: 4096, structPageSize: 64, release: DEFAULT_RELEASE.text });
  });

  it('never writes to what it did not understand: a header with a bit changed is somebody\'s data', () => {
    fc.assert(fc.property(fc.nat(PAGE_SIZE * 8 - 1), (bit) => {
      const bytes = VALID.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const { host, device } = setUp([[HEADER_AT, bytes]]);
      const error = refusal(() => takePageArea(host, device, 'device', AREA));
      expect(error.code).toBe('EBUSY');
      const first = HEADER_AT + bytes.findIndex((byte) => byte !== 0);
      expect(error.message).toContain(`pmem0: there are data at byte 0x${first.toString(16)}`);
      expect(error.message).toContain('pmem.page_area=overwrite');
      wipePageArea(host, device);
      const header = new Uint8Array(PAGE_SIZE);
      host.memory.read(HEADER_AT as PhysAddr, header);
      expect(header).toEqual(bytes);
    }), { numRuns: 12 });
  });

  it('never takes data of a disk that lie in front of an older, smaller area', () => {
    const { host, device } = setUp([[HEADER_AT, VALID], [SIZE - 2 * AREA, Uint8Array.of(1)]]);
    expect(refusal(() => takePageArea(host, device, 'device', 2 * AREA)).message).toContain(`byte 0x${(SIZE - 2 * AREA).toString(16)}`);
    takePageArea(host, device, 'device', AREA);
  });

  it('wipes the whole of a larger one that is left', () => {
    const { host, device, image } = setUp([[HEADER_AT, VALID], [SIZE - AREA, Uint8Array.of(9)]]);
    takePageArea(host, device, 'device', AREA / 2);
    expect(image().subarray(SIZE - AREA, HEADER_AT).every((byte) => byte === 0)).toBe(true);
  });

  it('needs room for a disk as well', () => {
    const { host, device } = setUp();
    expect(refusal(() => takePageArea(host, device, 'device', SIZE))).toMatchObject({ code: 'ENOSPC', message: 'pmem0: device needs 16 MiB at the end of a device of 16 MiB' });
  });
});

it('an array of 1 TiB takes 0x400200000 bytes', () => {
  expect(pageAreaBytes({ start: 0 as PhysAddr, sizeBytes: 2 ** 40 })).toBe(0x400200000);
});
