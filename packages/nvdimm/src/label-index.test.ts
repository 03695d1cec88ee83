import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryConfigArea } from '../test/memory-config-area.js';
import { initLabelArea, openLabelArea } from './label-area.js';
import { type LabelGeometry, bestSeq, checkIndex, decodeIndex, encodeIndex, labelGeometry, nextSeq } from './label-index.js';
import { fletcher64 } from '@holdfast/lib';

describe('labelGeometry', () => {
  it.each([
    [1024, 128, 4, 256],
    [1024, 256, 2, 256],
    [2048, 128, 12, 256],
    [4096, 256, 14, 256],
    [16384, 128, 124, 256],
    [65536, 256, 254, 256],
    [131072, 128, 1020, 256],
    [131072, 256, 510, 256],
    [262144, 128, 2040, 512],
    [262144, 256, 1022, 256],
  ] as const)('cuts %i bytes for labels of %i into %i slots behind indexes of %i bytes', (areaSize, labelSize, nrSlots, indexSize) => {
    expect(labelGeometry(areaSize, labelSize)).toEqual({ areaSize, labelSize, nrSlots, indexSize });
  });

  it.each([0, 511, 512, 767])('finds no room for two labels in %i bytes', (areaSize) => {
    expect(labelGeometry(areaSize, 128)).toBeUndefined();
    expect(() => initLabelArea(memoryConfigArea(new Uint8Array(areaSize)), 128, 'kernel')).toThrow(
      `label area (${areaSize}) too small to host (128 byte) labels`,
    );
  });

  it('never lets slots leave the area', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 22), fc.constantFrom(128 as const, 256 as const), (areaSize, labelSize) => {
        const geometry = labelGeometry(areaSize, labelSize);
        if (geometry) expect(2 * geometry.indexSize + geometry.nrSlots * labelSize).toBeLessThanOrEqual(areaSize);
      }),
    );
  });
});

describe('sequence numbers', () => {
  it('cycle 1, 2, 3', () => expect([1, 2, 3, 0].map(nextSeq)).toEqual([2, 3, 1, 0]));

  it.each([
    [1, 2, 2], [2, 3, 3], [3, 1, 1], // the second follows the first
    [2, 1, 2], [3, 2, 3], [1, 3, 1], // the first follows the second
    [0, 2, 2], [3, 0, 3], [0, 0, 0], [2, 2, 2],
    [5, 6, 2], // only two bits count
  ])('of %i and %i, %i is the newer', (a, b, newer) => expect(bestSeq(a, b)).toBe(newer));
});

describe('index blocks', () => {
  it.each([
    { areaSize: 131072, labelSize: 256, style: 'kernel', sums: [0xe793e3ed18323c1cn, 0xe793e7b218323c1bn] },
    { areaSize: 1024, labelSize: 128, style: 'kernel', sums: [0xeb628633d7313a41n, 0xeb6289f8d7313a40n] },
    { areaSize: 131072, labelSize: 128, style: 'ndctl', sums: [0xeb634621d7313e0an, 0xeb6349e6d7313e09n] },
  ] as const)('carry the known checksums: $areaSize bytes, labels of $labelSize, as $style writes them', ({ areaSize, labelSize, style, sums }) => {
    const config = memoryConfigArea(new Uint8Array(areaSize));
    const { geometry } = initLabelArea(config, labelSize, style);
    expect([0, 1].map((which) => decodeIndex(config.read(which * geometry.indexSize, geometry.indexSize)).checksum)).toEqual(sums);
  });

  const geometry = labelGeometry(4096, 128)!;
  const free = new Uint8Array(8).fill(0xff);
  /** Change a valid block, and make its checksum right again. */
  const forged = (change: (block: DataView) => void, of: LabelGeometry = geometry): Uint8Array => {
    const block = encodeIndex(of, 0, 1, free);
    const view = new DataView(block.buffer);
    change(view);
    view.setBigUint64(64, 0n, true);
    view.setBigUint64(64, fletcher64(block), true);
    return block;
  };

  it.each([
    { rule: 'signature', block: forged((view) => view.setUint8(15, 1)), want: 'nsindex0 signature invalid' },
    { rule: 'label size of v1.2', block: forged((view) => { view.setUint16(62, 2, true); view.setUint8(19, 1); }), want: 'nsindex0 labelsize 256 invalid' },
    { rule: 'label size code beyond any', block: forged((view) => { view.setUint16(62, 2, true); view.setUint8(19, 255); }), want: /labelsize .* invalid/ },
    { rule: 'checksum', block: encodeIndex(geometry, 0, 1, free).fill(1, 200, 201), want: 'nsindex0 checksum invalid' },
    { rule: 'sequence', block: forged((view) => view.setUint32(20, 4, true)), want: 'nsindex0 sequence: 0x4 invalid' },
    { rule: 'own offset', block: forged((view) => view.setUint32(24, 256, true)), want: 'nsindex0 myoff: 0x100 invalid' },
    { rule: 'other offset', block: forged((view) => view.setUint32(40, 512, true)), want: 'nsindex0 otheroff: 0x200 invalid' },
    { rule: 'label offset', block: forged((view) => view.setUint32(48, 256, true)), want: 'nsindex0 labeloff: 0x100 invalid' },
    { rule: 'size too small', block: forged((view) => view.setUint32(32, 71, true)), want: 'nsindex0 mysize: 0x47 invalid' },
    { rule: 'size too large', block: forged((view) => view.setUint32(32, 257, true)), want: 'nsindex0 mysize: 0x101 invalid' },
    { rule: 'number of slots', block: forged((view) => view.setUint32(56, 29, true)), want: 'nsindex0 nslot: 29 invalid, config_size: 0x1000' },
    { rule: 'number of slots past 32 bits', block: forged((view) => view.setUint32(56, 2 ** 25, true)), want: /nslot/ },
  ])('are refused for their $rule', ({ block, want }) => {
    const check = checkIndex(geometry, 0, block);
    expect('refused' in check && check.refused).toMatch(want);
  });

  it('ignore the reserved label size code before v1.2, and take fewer slots than fit', () => {
    expect(checkIndex(geometry, 0, forged((view) => { view.setUint8(19, 7); view.setUint32(56, 3, true); }))).toMatchObject({ index: { nrSlots: 3 } });
  });

  it.each([
    { have: [1, 2], current: 1 }, { have: [2, 1], current: 0 }, { have: [1, 3], current: 0 }, { have: [3, 1], current: 1 },
    { have: [2, 2], current: 1 }, { have: [3, undefined], current: 0 }, { have: [undefined, 3], current: 1 },
  ])('with sequences $have: block $current holds', ({ have, current }) => {
    const config = memoryConfigArea(new Uint8Array(4096));
    have.forEach((seq, which) => seq !== undefined && config.write(which * 256, encodeIndex(geometry, which as 0 | 1, seq, free)));
    expect(openLabelArea(config)).toMatchObject({ current, seq: have[current] });
  });

  it('none valid: no label area, whatever the size of its labels', () => {
    expect(openLabelArea(memoryConfigArea(new Uint8Array(4096)))).toBeUndefined();
  });
});
