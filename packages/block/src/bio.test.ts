import fc from 'fast-check';
import { PAGE_SIZE, pfn, sector } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { BIO_MAX_VECS, allocBio, bioAddPage, bioChain, bioEndIo, bioEndWith, bioSectors, resetBio, reuseBio } from './bio.js';
import { BLK_STS } from './blk-status.js';
import { REQ_OP } from './blk-types.js';
import type { Bio } from './blk-types.js';
import { advanceBio, createBvecIter, nextBvec, nextSegment, startIter } from './bvec.js';

const READ = REQ_OP.READ;

describe('a bio', () => {
  it('joins pages that follow each other, and takes no more entries than it has room for', () => {
    const bio = allocBio(undefined, 2, READ);
    expect([bioAddPage(bio, pfn(10), 4096, 0), bioAddPage(bio, pfn(11), 512, 0), bioAddPage(bio, pfn(11), 512, 512)]).toEqual([4096, 512, 512]);
    expect(bio.vcnt).toBe(1);
    expect(bioAddPage(bio, pfn(20), 4096, 0)).toBe(4096);
    expect(bioAddPage(bio, pfn(30), 4096, 0)).toBe(0);
    expect([bio.vcnt, bio.sizeBytes, bioSectors(bio)]).toEqual([2, 9216, 18]);
  });

  it('holds at most 2^32 - 1 bytes', () => {
    const bio = allocBio(undefined, 4, READ);
    expect(bioAddPage(bio, pfn(0), 2 ** 32 - 4096, 0)).toBe(2 ** 32 - 4096);
    expect(bioAddPage(bio, pfn(5_000_000), 4096, 0)).toBe(0);
    expect(bioAddPage(bio, pfn(5_000_000), 3584, 0)).toBe(3584);
  });

  it(`has at most ${BIO_MAX_VECS} entries`, () => expect(() => allocBio(undefined, 257, READ)).toThrow('at most 256'));

  it('is as new after a reset, and goes back to its start for a reuse', () => {
    const bio = allocBio(undefined, 2, READ);
    bioAddPage(bio, pfn(1), 4096, 0);
    bioAddPage(bio, pfn(5), 1024, 512);
    bio.endIo = () => {};
    bio.status = BLK_STS.IOERR;
    advanceBio(bio, 4608);
    reuseBio(bio, undefined, REQ_OP.WRITE, sector(77));
    expect([bio.sizeBytes, bio.idx, bio.bvecDone, bio.sector, bio.status, bio.opf, bio.vcnt]).toEqual([5120, 0, 0, 77, BLK_STS.OK, REQ_OP.WRITE, 2]);
    expect(bio.endIo).toBeDefined();
    resetBio(bio, undefined, READ);
    expect(bio).toEqual({ ...allocBio(undefined, 2, READ), vecs: bio.vecs });
  });
});

describe('the end of a bio', () => {
  it('is told once', () => {
    let ends = 0;
    const bio = allocBio(undefined, 0, READ);
    bio.endIo = () => ends++;
    bioEndIo(bio);
    expect(ends).toBe(1);
  });

  it.each<[string, ('parent' | number)[], number]>([
    ['its own end last', [0, 1, 'parent'], 2],
    ['its own end first', ['parent', 1, 0], 2],
    ['its own end between', [1, 'parent', 0], 2],
  ])('of a parent with children comes after all of them: %s', (_name, order, nrChildren) => {
    const log: number[] = [];
    const parent = allocBio(undefined, 0, READ);
    parent.endIo = (bio) => log.push(bio.status);
    const children = Array.from({ length: nrChildren }, () => allocBio(undefined, 0, READ));
    for (const child of children) bioChain(child, parent);
    for (const [step, who] of order.entries()) {
      expect(log).toEqual([]);
      if (who === 'parent') bioEndIo(parent);
      else bioEndWith(children[who]!, step === 0 ? BLK_STS.MEDIUM : BLK_STS.OK);
    }
    expect(log).toEqual([order[0] === 'parent' ? BLK_STS.OK : BLK_STS.MEDIUM]);
  });

  it('keeps the first of several errors', () => {
    const parent = allocBio(undefined, 0, READ);
    const [a, b] = [allocBio(undefined, 0, READ), allocBio(undefined, 0, READ)];
    bioChain(a, parent);
    bioChain(b, parent);
    bioEndWith(b, BLK_STS.NOSPC);
    bioEndWith(a, BLK_STS.IOERR);
    bioEndIo(parent);
    expect(parent.status).toBe(BLK_STS.NOSPC);
  });

  it('walks a chain of 50,000 parents without using the stack', () => {
    let ended = 0;
    const top = allocBio(undefined, 0, READ);
    top.endIo = () => ended++;
    const chain = [top];
    for (let i = 0; i < 50_000; i++) {
      const child = allocBio(undefined, 0, READ);
      bioChain(child, chain.at(-1)!);
      chain.push(child);
    }
    for (const bio of chain) bioEndIo(bio);
    expect(ended).toBe(1);
  });

  it('of a child is not the child’s to tell', () => {
    const child = allocBio(undefined, 0, READ);
    child.endIo = () => {};
    expect(() => bioChain(child, allocBio(undefined, 0, READ))).toThrow('BUG');
  });
});

/** Entries with a first frame, an offset in it, and a length in sectors; frames far apart, so that none join. */
const anyTable = fc.array(fc.tuple(fc.nat(7), fc.integer({ min: 1, max: 40 })), { minLength: 1, maxLength: 8 });

function bioOf(table: readonly (readonly [number, number])[], at = 0): Bio {
  const bio = allocBio(undefined, table.length, READ);
  bio.sector = sector(at);
  for (const [i, [offset, sectors]] of table.entries()) bioAddPage(bio, pfn(1000 * (i + 1)), sectors * 512, offset * 512);
  return bio;
}

/** The physical address of each sector of the bio, by the slow way: sector by sector from the table. */
function model(table: readonly (readonly [number, number])[]): number[] {
  return table.flatMap(([offset, sectors], i) => Array.from({ length: sectors }, (_, s) => 1000 * (i + 1) * PAGE_SIZE + (offset + s) * 512));
}

function walk(bio: Bio, next: typeof nextSegment): { addrs: number[]; pieces: { pfn: number; offset: number; len: number; sector: number }[] } {
  const iter = createBvecIter();
  const addrs: number[] = [];
  const pieces = [];
  startIter(iter, bio);
  while (next(iter, bio)) {
    pieces.push({ pfn: iter.pfn, offset: iter.offset, len: iter.len, sector: iter.sector });
    for (let done = 0; done < iter.len; done += 512) addrs.push(iter.pfn * PAGE_SIZE + iter.offset + done);
  }
  return { addrs, pieces };
}

describe('walking a bio', () => {
  it('cuts an entry over three frames into three segments, or yields it as one', () => {
    const bio = bioOf([[2, 16]], 8);
    expect(walk(bio, nextSegment).pieces).toEqual([
      { pfn: 1000, offset: 1024, len: 3072, sector: 8 },
      { pfn: 1001, offset: 0, len: 4096, sector: 14 },
      { pfn: 1002, offset: 0, len: 1024, sector: 22 },
    ]);
    expect(walk(bio, nextBvec).pieces).toEqual([{ pfn: 1000, offset: 1024, len: 8192, sector: 8 }]);
  });

  it('yields nothing for a bio without a table, such as a discard', () => {
    const bio = allocBio(undefined, 0, REQ_OP.DISCARD);
    bio.sizeBytes = 1 << 20;
    expect(walk(bio, nextSegment).pieces).toEqual([]);
    advanceBio(bio, 4096);
    expect([bio.sector, bio.sizeBytes]).toEqual([8, (1 << 20) - 4096]);
  });

  it('meets every sector once, in order, in both views, from any position on, and leaves the bio as it was', () => {
    fc.assert(fc.property(anyTable, fc.nat(1000), fc.nat(), (table, at, skip) => {
      const expected = model(table);
      const bio = bioOf(table, at);
      const skipped = skip % expected.length;
      advanceBio(bio, skipped * 512);
      const before = { ...bio, vecs: [...bio.vecs] };
      for (const next of [nextSegment, nextBvec]) {
        const { addrs, pieces } = walk(bio, next);
        expect(addrs).toEqual(expected.slice(skipped));
        let sectors = at + skipped;
        for (const piece of pieces) {
          expect(piece.sector).toBe(sectors);
          sectors += piece.len / 512;
          if (next === nextSegment) expect(piece.offset + piece.len).toBeLessThanOrEqual(PAGE_SIZE);
        }
      }
      expect({ ...bio, vecs: [...bio.vecs] }).toEqual(before);
    }));
  });
});
