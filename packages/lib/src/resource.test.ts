import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Resource, createIomem, createResource, formatIomem, insertResource, insertResourceExpandToFit, regionIntersectsSystemRam,
  releaseResource, removeResource, requestRegion, requestResource, reserveRegionWithSplit, tryInsertResource, tryRequestResource, walkResources,
} from './resource.js';

const r = (start: number, end: number, name = `${start}-${end}`): Resource => createResource({ name, start, end });

function expectNested(root: Resource): void {
  const check = (parent: Resource): void => {
    let last = parent.start - 1;
    for (const child of parent.children) {
      expect(child.parent).toBe(parent);
      expect(child.start).toBeGreaterThan(last);
      expect(child.end).toBeGreaterThanOrEqual(child.start);
      expect(child.end).toBeLessThanOrEqual(parent.end);
      last = child.end;
      check(child);
    }
  };
  check(root);
}

describe('the resource tree', () => {
  it('refuses a request that overlaps, naming what is in the way', () => {
    const root = createIomem();
    requestResource(root, r(0x1000, 0x1fff, 'System RAM'));
    expect(() => requestResource(root, r(0x1800, 0x27ff, 'pmem'))).toThrow(/pmem \[mem 0x00001800-0x000027ff\] conflicts with System RAM/);
    expect(root.children).toHaveLength(1);
  });

  it('inserts above the resources that the new one holds, equal ones included', () => {
    const root = createIomem();
    insertResource(root, r(0xb0000000, 0xbfffffff, 'Reserved'));
    insertResource(root, r(0xb0000000, 0xbfffffff, 'PCI MMCONFIG 0000 [bus 00-ff]'));
    expect(formatIomem(root)).toBe('b0000000-bfffffff : PCI MMCONFIG 0000 [bus 00-ff]\n  b0000000-bfffffff : Reserved\n');
  });

  it('inserts below the smallest resource that holds the new one', () => {
    const root = createIomem();
    insertResource(root, r(0, 0xffff, 'outer'));
    insertResource(root, r(0x1000, 0x1fff, 'inner'));
    insertResource(root, r(0x1800, 0x18ff, 'leaf'));
    expect([...walkResources(root)].map(({ resource, depth }) => `${depth} ${resource.name}`)).toEqual(['0 outer', '1 inner', '2 leaf']);
  });

  it('inserts nothing that would cut another resource, unless asked to grow over it', () => {
    const root = createIomem();
    insertResource(root, r(0x1000, 0x1fff, 'there'));
    const late = r(0x1800, 0x2fff, 'late');
    expect(tryInsertResource(root, late)?.name).toBe('there');
    insertResourceExpandToFit(root, late);
    expect(formatIomem(root)).toBe('00001000-00002fff : late\n  00001000-00001fff : there\n');
  });

  it('reserves only the gaps of a range, piece by piece', () => {
    const root = createIomem();
    insertResource(root, r(0x2000, 0x2fff, 'taken'));
    reserveRegionWithSplit(root, { name: 'RAM buffer', start: 0x1000, end: 0x3fff });
    expect(formatIomem(root)).toBe('00001000-00001fff : RAM buffer\n00002000-00002fff : taken\n00003000-00003fff : RAM buffer\n');
  });

  it('lets a driver claim a region inside a range that is not busy, once', () => {
    const root = createIomem();
    insertResource(root, createResource({ name: 'Persistent Memory (legacy)', start: 0x1000, end: 0x1fff }));
    const claim = requestRegion(root, 0x1000, 0x1000, 'namespace0.0');
    expect(formatIomem(root)).toContain('  00001000-00001fff : namespace0.0');
    expect(() => requestRegion(root, 0x1800, 0x100, 'other')).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    releaseResource(claim);
    requestRegion(root, 0x1800, 0x100, 'other');
  });

  it('leaves the children in place when a resource is removed, and takes them along when it is released', () => {
    const build = (): { root: Resource; middle: Resource } => {
      const root = createIomem();
      const middle = r(0, 0xffff, 'middle');
      insertResource(root, middle);
      insertResource(root, r(0x10, 0x1f, 'leaf'));
      return { root, middle };
    };
    const removed = build();
    removeResource(removed.middle);
    expect(formatIomem(removed.root)).toBe('00000010-0000001f : leaf\n');
    const released = build();
    releaseResource(released.middle);
    expect(formatIomem(released.root)).toBe('');
  });

  it('prints at most five levels and as many digits as a number needs', () => {
    const root = createIomem();
    for (let depth = 0; depth < 7; depth++) insertResource(root, r(0xfffc0000 + depth, 0x17fffffff - depth, `level ${depth}`));
    expect(formatIomem(root).trimEnd().split('\n').map((line) => line.trim().split(' : ')[1])).toEqual([0, 1, 2, 3, 4].map((n) => `level ${n}`));
    expect(formatIomem(root)).toMatch(/^fffc0000-17fffffff : level 0/);
  });

  it.each([
    { what: 'nothing but RAM', start: 0x1000, end: 0x1fff, want: 'intersects' },
    { what: 'RAM and a hole', start: 0x1800, end: 0x2800, want: 'mixed' },
    { what: 'no RAM', start: 0x8000, end: 0x8fff, want: 'disjoint' },
  ])('tells $what from the other kinds of range', ({ start, end, want }) => {
    const root = createIomem();
    insertResource(root, createResource({ name: 'System RAM', start: 0x1000, end: 0x1fff, systemRam: true }));
    expect(regionIntersectsSystemRam(root, start, end)).toBe(want);
  });

  const anyRange = fc.tuple(fc.nat(40), fc.nat(12)).map(([start, size]) => ({ start, end: start + size }));
  const anyStep = fc.record({ op: fc.constantFrom('request', 'insert', 'expand', 'split', 'region', 'remove', 'release'), range: anyRange, pick: fc.nat(9) });

  it('stays sorted, disjoint and nested under any sequence of calls', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const root = createIomem(99);
        for (const { op, range, pick } of steps) {
          const resource = r(range.start, range.end);
          const all = [...walkResources(root)];
          const picked = all[pick % Math.max(1, all.length)]?.resource;
          if (op === 'request') tryRequestResource(root, resource);
          if (op === 'insert') tryInsertResource(root, resource);
          if (op === 'expand') insertResourceExpandToFit(root, resource);
          if (op === 'split') reserveRegionWithSplit(root, { name: 'split', ...range });
          if (op === 'region') {
            try {
              requestRegion(root, range.start, range.end - range.start + 1, 'region');
            } catch (error) {
              expect(error).toMatchObject({ code: 'EBUSY' });
            }
          }
          if (op === 'remove' && picked) removeResource(picked);
          if (op === 'release' && picked) releaseResource(picked);
          expectNested(root);
        }
      }),
    );
  });
});
