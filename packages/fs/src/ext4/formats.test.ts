/** What ext4 keeps on the medium, read and written: whatever the bytes are. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '@holdfast/lib';
import { utf8Decode, utf8Encode } from '../utf8.js';
import { addDirEntry, dirEntries, newDirBlock, removeDirEntry } from './dir-block.js';
import { buildExtentTree, readExtentTree } from './extent-format.js';
import { decodeGroupDesc, encodeGroupDesc } from './group-desc.js';
import { SUPER_LAYOUT, emptySuperblock, encodeSuperblock } from './superblock.js';
import { createUsedBlocks } from './used-blocks.js';

/** A refusal is an answer; anything else that is thrown is not. */
function orRefusal<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

describe('directory blocks', () => {
  const anyName = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((name) => !/[/\0\ufffd]/.test(name) && utf8Decode(utf8Encode(name)) === name);

  it('hold the names that were added and not removed', () => {
    fc.assert(fc.property(fc.uniqueArray(anyName, { maxLength: 20 }), fc.array(fc.nat(19)), fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { nil: undefined }), (names, removed, seed) => {
      const block = newDirBlock(4096, seed);
      for (const [index, name] of names.entries()) expect(addDirEntry(block, seed, { ino: index + 12, name, type: 1 })).toBe(true);
      const gone = new Set(removed.filter((index) => index < names.length));
      for (const index of gone) expect(removeDirEntry(block, seed, names[index]!)).toBe(index + 12);
      const left = names.filter((_, index) => !gone.has(index));
      expect(dirEntries(block, seed).filter(({ ino }) => ino !== 0).map(({ name }) => name).sort()).toEqual(left.sort());
    }));
  });

  it('of any bytes are read, or refused', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (bytes) => {
      orRefusal(() => dirEntries(bytes, undefined));
      expect(orRefusal(() => dirEntries(bytes, 7))).toBeUndefined();
    }));
  });

  it('say when they are full', () => {
    const block = newDirBlock(64, undefined);
    const added = ['a', 'b', 'c', 'd', 'e', 'f'].map((name, index) => addDirEntry(block, undefined, { ino: index + 12, name, type: 1 }));
    expect(added).toEqual([true, true, true, true, true, false]);
  });
});

describe('extent trees', () => {
  const anyExtents = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 30 }), fc.boolean()), { maxLength: 400 }).map((steps) => {
    let block = 0;
    return steps.map(([gap, length, isUnwritten], index) => {
      const extent = { block: block + gap, length, start: 1000 + index * 64, isUnwritten };
      block = extent.block + length;
      return extent;
    });
  });

  it('of one to three levels give back what went in', () => {
    fc.assert(fc.property(anyExtents, fc.constantFrom(undefined, 99), (extents, seed) => {
      let next = 500_000;
      const { root, nodes } = buildExtentTree(extents, { blockSize: 128, seed, alloc: () => next++ });
      const read = readExtentTree(root, { seed, read: (block) => nodes.get(block)!, isValid: () => true });
      expect(read.extents).toEqual(extents);
      expect(read.nodes.sort()).toEqual([...nodes.keys()].sort());
    }), { numRuns: 30 });
  });

  it('of any bytes are read, or refused', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), fc.uint8Array({ minLength: 128, maxLength: 128 }), (root, node) => {
      for (const bytes of [root, node]) bytes.set([0x0a, 0xf3]);
      orRefusal(() => readExtentTree(root, { seed: undefined, read: () => node, isValid: (start) => start < 2 ** 40 }));
    }));
  });
});

it('descriptors of 32 and of 64 bytes come back as they went', () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  fc.assert(fc.property(fc.constantFrom(32, 64), fc.array(word, { minLength: 10, maxLength: 10 }), (size, [a, b, c, d, e, f, g, h, i, j]) => {
    const sb = { ...emptySuperblock(), featureIncompat: size === 64 ? 0x80 : 0, descSize: size };
    const desc = { blockBitmap: a!, inodeBitmap: b!, inodeTable: c!, freeBlocks: d!, freeInodes: e!, usedDirs: f!, flags: g!, blockBitmapCsum: h!, inodeBitmapCsum: i!, itableUnused: j! };
    expect(decodeGroupDesc(sb, encodeGroupDesc(sb, 3, desc))).toEqual(desc);
  }));
});

it('a superblock of any bytes comes back as it went, field by field', () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1024, maxLength: 1024, max: 127 }), (bytes) => {
    const sb = { ...SUPER_LAYOUT.decode(bytes), featureRoCompat: 0 };
    expect(SUPER_LAYOUT.decode(encodeSuperblock(sb))).toEqual(sb);
  }), { numRuns: 20 });
  const fields = Object.values(SUPER_LAYOUT.fields).map(({ at, size }) => [at, at + size] as const).sort(([a], [b]) => a - b);
  expect(fields.every(([start], index) => start === (fields[index - 1]?.[1] ?? 0))).toBe(true);
});

it('blocks that are taken are found as a bitmap finds them', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(90), fc.integer({ min: 1, max: 10 })), { maxLength: 30 }), fc.nat(99), fc.integer({ min: 1, max: 8 }), (marks, from, count) => {
    const used = createUsedBlocks();
    const bits = new Uint8Array(100);
    for (const [start, length] of marks) {
      if (bits.subarray(start, start + length).some((bit) => bit !== 0)) continue;
      used.mark(start, length);
      bits.fill(1, start, start + length);
    }
    expect(used.countWithin(0, 100)).toBe(bits.reduce((sum, bit) => sum + bit, 0));
    for (let block = 0; block < 100; block++) expect(used.isFree(block)).toBe(bits[block] === 0);
    let expected: number | undefined;
    for (let at = from; at + count <= 100 && expected === undefined; at++) if (bits.subarray(at, at + count).every((bit) => bit === 0)) expected = at;
    expect(used.findFree(from, 99, count)).toBe(expected);
  }));
});
