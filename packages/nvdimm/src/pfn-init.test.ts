import { GIB, MIB, TIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { capturedMedia, mediaLines } from '../test/captured-media.js';
import { memoryNamespace } from '../test/memory-namespace.js';
import { INFO_BLOCK_OFFSET, type PfnMode, decodeInfoBlock } from './info-block.js';
import { X86_64_LIMITS } from './info-block-check.js';
import { type PfnInit, initPfn, planPfn, setupPfn } from './pfn-init.js';
import { NULL_UUID } from './uuid.js';

const KIB4 = 4096;
const at = (start: number, sizeBytes: number) => ({ name: 'namespace0.0', start, sizeBytes });
const request = (start: number, sizeBytes: number, mode: PfnMode, align: number): PfnInit => ({
  kind: 'pfn',
  namespace: { ...at(start, sizeBytes), uuid: undefined },
  settings: { uuid: '00112233-4455-6677-8899-aabbccddeeff', mode, align },
  region: { name: 'region0', readOnly: false },
});

describe('planPfn', () => {
  it.each<[number, number, number, PfnMode, number, number, number]>([
    // start, size, align, mode → dataoff, usable, end_trunc
    [4 * GIB, 16 * MIB, KIB4, 'pmem', 2 * MIB, 14 * MIB, 0],
    [4 * GIB, 64 * MIB, 2 * MIB, 'pmem', 2 * MIB, 62 * MIB, 0],
    [4 * GIB, 64 * MIB, 2 * MIB, 'ram', 2 * MIB, 62 * MIB, 0],
    [4 * GIB, 256 * MIB, 2 * MIB, 'pmem', 6 * MIB, 262144000, 0],
    [4 * GIB, 512 * MIB, 2 * MIB, 'pmem', 10 * MIB, 526385152, 0],
    [4 * GIB, GIB, KIB4, 'pmem', 18 * MIB, 1054867456, 0],
    [4 * GIB, GIB, 2 * MIB, 'ram', 2 * MIB, 1071644672, 0],
    [4 * GIB, 4 * GIB, 2 * MIB, 'pmem', 66 * MIB, 4225761280, 0],
    [4 * GIB, 16 * GIB, 2 * MIB, 'pmem', 258 * MIB, 16909336576, 0],
    [4 * GIB, TIB, 2 * MIB, 'pmem', 16386 * MIB, 1082329661440, 0],
    [4 * GIB, 400 * TIB, 2 * MIB, 'pmem', 6553602 * MIB, 432932701339648, 0],
    [4 * GIB, 400 * TIB, 2 * MIB, 'ram', 2 * MIB, 439804649013248, 0],
    [4 * GIB, 1500 * GIB, 2 * MIB, 'pmem', 25167921152, 1585444814848, 0],
    [4 * GIB, 2 * GIB, GIB, 'pmem', GIB, GIB, 0],
    [4 * GIB, 3 * GIB, GIB, 'ram', GIB, 2 * GIB, 0],
    [4 * GIB, TIB, GIB, 'pmem', 17 * GIB, 1007 * GIB, 0],
    [4 * GIB, 400 * TIB, GIB, 'pmem', 6401 * GIB, 403199 * GIB, 0],
    [4 * GIB, GIB + MIB, 2 * MIB, 'pmem', 18 * MIB, 257536 * 4096, MIB],
    [4 * GIB + 2 * MIB, GIB, 2 * MIB, 'pmem', 18 * MIB, 1006 * MIB, 0],
    [4 * GIB + 16 * MIB, 2 * GIB, GIB, 'pmem', GIB - 16 * MIB, GIB, 16 * MIB],
  ])('at %i, %i bytes, align %i, map %s: dataoff %i, usable %i, end_trunc %i', (start, size, align, mode, dataOffset, usable, endTrunc) => {
    expect(planPfn(at(start, size), { mode, align })).toEqual({ layout: { dataOffset, endTrunc, nrPfns: usable / 4096 } });
  });

  it('refuses a start off the hot-plug grain, and names the next one on it', () => {
    expect(planPfn(at(GIB + 65536, 512 * MIB), { mode: 'ram', align: KIB4 })).toEqual({
      refused: {
        code: 'EINVAL',
        log: 'namespace0.0: start 0x0000000040010000 misaligned to 0x200000',
        rule: 'the namespace must begin on 2097152',
        nearest: { start: GIB + 2 * MIB },
      },
    });
  });

  it.each<[number, number, PfnMode]>([[GIB, GIB, 'pmem'], [512 * MIB, GIB, 'ram'], [70 * GIB, 80 * GIB, 'pmem'], [MIB, 2 * MIB, 'ram']])(
    'refuses %i bytes at align %i (%s), and what it names instead succeeds, and nothing smaller does',
    (size, align, mode) => {
      const plan = planPfn(at(0, size), { mode, align });
      if (!('refused' in plan)) throw new Error('expected a refusal');
      const { nearest, ...refused } = plan.refused;
      expect(refused).toMatchObject({ code: 'ENXIO', log: 'namespace0.0 unable to satisfy requested alignment' });
      expect(planPfn(at(0, nearest!.sizeBytes!), { mode, align })).toMatchObject({ layout: { nrPfns: align / 4096 } });
      const smaller = planPfn(at(0, nearest!.sizeBytes! - align), { mode, align });
      expect('refused' in smaller || smaller.layout.nrPfns === 0).toBe(true);
      if (nearest!.align !== undefined) expect(planPfn(at(0, size), { mode, align: nearest!.align })).toHaveProperty('layout');
      else expect(size).toBe(MIB);
    },
  );

  it('refuses struct pages on the device when they have grown', () => {
    const limits = { ...X86_64_LIMITS, structPageSize: 128 };
    expect(planPfn(at(0, GIB), { mode: 'pmem', align: KIB4 }, limits)).toMatchObject({ refused: { code: 'EINVAL', log: /Memory debug options/ } });
    expect(planPfn(at(0, GIB), { mode: 'ram', align: KIB4 }, limits)).toHaveProperty('layout');
  });
});

describe('info blocks that Linux 6.1 wrote', () => {
  const NFIT_BASE = 4 * GIB;
  it.each([
    { dump: 'c-keep-fsdax.end', offset: 3 * GIB, start: 4 * GIB, size: GIB },
    { dump: 'd-reconf.fsdax', offset: 0, start: NFIT_BASE, size: GIB },
    { dump: 'd-reconf.devdax', offset: 0, start: NFIT_BASE, size: GIB },
    { dump: 'd-reconf.fsdaxmem', offset: 0, start: NFIT_BASE, size: GIB },
    { dump: 'd-multi.four', offset: 0, start: NFIT_BASE, size: 512 * MIB },
    { dump: 'd-multi.four', offset: 512 * MIB, start: NFIT_BASE + 512 * MIB, size: 256 * MIB },
    { dump: 'd-multi.end', offset: 960 * MIB, start: NFIT_BASE + 960 * MIB, size: 1088 * MIB },
    { dump: 'e-sysram-small-96m.end', offset: 0, start: NFIT_BASE, size: 96 * MIB },
    { dump: 'e-sysram-small-96m.end', offset: 96 * MIB, start: NFIT_BASE + 96 * MIB, size: 208 * MIB },
    { dump: 'e-sysram-small-96m.end', offset: 304 * MIB, start: NFIT_BASE + 304 * MIB, size: 400 * MIB },
    { dump: 'd-nolabel.end', offset: 0, start: NFIT_BASE, size: GIB },
    { dump: 'd-virtio-pmem.end', offset: 0, start: NFIT_BASE, size: GIB },
  ])('$dump at $offset is what is written here with the same UUIDs, byte for byte', ({ dump, offset, start, size }) => {
    const captured = capturedMedia(dump).read(offset, 8192);
    const { signature, uuid, parentUuid, mode, align } = decodeInfoBlock(captured.subarray(INFO_BLOCK_OFFSET));
    const io = memoryNamespace(size);
    const made: PfnInit = {
      kind: signature === 'NVDIMM_PFN_INFO' ? 'pfn' : 'dax',
      namespace: { ...at(start, size), uuid: parentUuid === NULL_UUID ? undefined : parentUuid },
      settings: { uuid, mode: mode === 1 ? 'ram' : 'pmem', align },
      region: { name: 'region0', readOnly: false },
    };
    expect(initPfn(io, made)).toHaveProperty('created', true);
    expect(mediaLines(io.bytes(0, 8192))).toEqual(mediaLines(captured));
    // And found again, it is used as it is.
    expect(initPfn(io, made)).toHaveProperty('created', false);
    expect(io.nrWrites).toBe(1);
  });
});

describe('initPfn', () => {
  it('writes nothing that it must not: read-only region, foreign block, refusal', () => {
    const io = memoryNamespace(GIB);
    const fresh = request(4 * GIB, GIB, 'pmem', 2 * MIB);
    expect(initPfn(io, { ...fresh, region: { name: 'region0', readOnly: true } })).toMatchObject({
      refused: { code: 'ENXIO', log: 'region0 is read-only, unable to init metadata' },
    });
    expect(initPfn(io, request(4 * GIB, GIB, 'pmem', GIB))).toHaveProperty('refused.code', 'ENXIO');
    expect(initPfn(io, request(4 * GIB, GIB, 'none', 2 * MIB))).toHaveProperty('refused.code', 'ENXIO');
    expect(io.nrWrites).toBe(0);
    initPfn(io, fresh);
    expect(initPfn(io, request(4 * GIB, GIB, 'ram', 2 * MIB))).toHaveProperty('refused.log', 'init failed, settings mismatch');
    expect(io.nrWrites).toBe(1);
  });

  it.each<[PfnMode, number[]]>([['pmem', [30 * MIB]], ['ram', [9000, 5 * MIB, 30 * MIB]]])('repairs what lies under struct pages on the device, and only that: %s', (mode, left) => {
    const io = memoryNamespace(GIB);
    io.lost = [9000, 5 * MIB, 30 * MIB].map((start) => ({ start, end: start + 600 }));
    initPfn(io, request(4 * GIB, GIB, mode, 2 * MIB));
    expect(io.lost.map(({ start }) => start)).toEqual(left);
  });
});

describe('setupPfn', () => {
  const setup = (start: number, size: number, mode: PfnMode, change = {}) => {
    const plan = planPfn(at(start, size), { mode, align: 2 * MIB });
    if (!('layout' in plan)) throw new Error('refused');
    const block = { uuid: NULL_UUID, mode, align: 2 * MIB, startPad: 0, ...plan.layout, ...change };
    return setupPfn({ ...at(start, size), uuid: undefined }, block);
  };

  it.each([
    [256 * MIB, 1534], [512 * MIB, 2558], [GIB, 4606], [4 * GIB, 16894], [16 * GIB, 66046], [TIB, 4194814], [400 * TIB, 1677722110],
  ])('of %i bytes gives struct pages %i frames of the device', (size, free) => {
    expect(setup(4 * GIB, size, 'pmem')).toMatchObject({ mapping: { altmap: { basePfn: 0x100000, reserve: 2, free } } });
  });

  it('maps what lies before the data too', () => {
    expect(setup(4 * GIB + 2 * MIB, GIB + MIB, 'pmem')).toMatchObject({
      mapping: { start: 4 * GIB + 2 * MIB, end: 5 * GIB + 2 * MIB, dataStart: 4 * GIB + 20 * MIB, altmap: { basePfn: 1049088 } },
    });
  });

  it('gives no frames with the map in RAM', () => expect(setup(4 * GIB, GIB, 'ram')).not.toHaveProperty('mapping.altmap'));

  it('cuts the page count of a block made when the namespace was larger', () => {
    expect(setup(4 * GIB, 512 * MIB, 'pmem', { dataOffset: 18 * MIB, nrPfns: 257536 })).toMatchObject({
      mapping: { nrPfns: 126464 },
      log: 'number of pfns truncated from 257536 to 126464',
    });
  });

  it('refuses data on top of the info block', () => {
    expect(setup(4 * GIB, GIB, 'ram', { dataOffset: 4096 })).toHaveProperty('refused.code', 'EINVAL');
  });
});
