import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PG, flagsNode, flagsZone, pageFlagNames, pageLinks } from './page-flags.js';
import { PAGE_LAYOUT, VMEMMAP_BASE_L4, WORDS_PER_PAGE, decodePage, pageToPfn, pfnToPage, readWord64, writeWord64 } from './page.js';

describe('struct page', () => {
  it('is filled by its fields, 64 bytes without a gap', () => {
    let word = 0;
    for (const field of PAGE_LAYOUT) {
      expect(field.word, field.name).toBe(word);
      word += field.words;
    }
    expect(word * 4).toBe(64);
    expect(word).toBe(WORDS_PER_PAGE);
  });

  it('keeps node and zone where a real dump shows them: flags 0x17ffffc0000200 is slab, node 0, zone 2', () => {
    const words = new Int32Array(WORDS_PER_PAGE);
    writeWord64(words, 0, 0x17ffffc0000200n);
    const page = decodePage(words, 0, 7);
    expect(page).toMatchObject({ pfn: 7, nid: 0, zoneIndex: 2, flagNames: ['slab'], reserved: false, buddyOrder: undefined });
    expect(pageLinks(0, 2)).toBe(0x17ffff);
  });

  it('has 25 flags, the last at bit 24', () => {
    expect(Object.values(PG)).toEqual(Array.from({ length: 25 }, (_, bit) => bit));
    expect(pageFlagNames((1 << PG.locked) | (1 << PG.reserved) | (1 << PG.arch_2))).toEqual(['locked', 'reserved', 'arch_2']);
  });

  it('keeps any node and zone apart', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1023 }), fc.integer({ min: 0, max: 4 }), (nid, zone) => {
        const links = pageLinks(nid, zone);
        expect([flagsNode(links), flagsZone(links)]).toEqual([nid, zone]);
      }),
    );
  });
});

describe('pfnToPage', () => {
  it('is vmemmap + 64 * pfn, and pageToPfn its inverse, up to 52 bits of address', () => {
    expect(pfnToPage(VMEMMAP_BASE_L4, 0x100000).toString(16)).toBe('ffffea0004000000');
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 40 - 1 }), (pfn) => pageToPfn(VMEMMAP_BASE_L4, pfnToPage(VMEMMAP_BASE_L4, pfn)) === pfn));
  });

  it('refuses an address at which no struct page starts', () => {
    expect(() => pageToPfn(VMEMMAP_BASE_L4, VMEMMAP_BASE_L4 + 8n)).toThrow(/0xffffea0000000008 is no struct page/);
    expect(() => pageToPfn(VMEMMAP_BASE_L4, 0n)).toThrow(/no struct page/);
  });
});

describe('writeWord64', () => {
  it('stores any 64 bits', () => {
    const words = new Int32Array(2);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        writeWord64(words, 0, value);
        expect(readWord64(words, 0)).toBe(value);
      }),
    );
  });
});
