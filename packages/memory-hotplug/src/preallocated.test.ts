/** Sections whose struct pages lie in the caller's area: 2 MiB for each, and nothing from elsewhere. */
import { PAGES_PER_SECTION, SECTION_MEMMAP_SIZE, nodeId, pfn, physAddr } from '@holdfast/lib';
import type { Pfn, Range } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { addSection, preallocatedAltmap, preallocatedSize } from './preallocated.js';
import { sparseInit } from './sparse.js';

const AREA = physAddr(0x4000_0000);
const NODE = nodeId(0);
const sectionRange = (first: number, end: number): Range<Pfn> => ({ start: pfn(first * PAGES_PER_SECTION), end: pfn(end * PAGES_PER_SECTION) });
const noMemory = () => sparseInit([], () => physAddr(0));
const failing = (code: string): unknown => expect.objectContaining({ code });

describe('addSection', () => {
  it('takes 2 MiB of the area for each section, in order', () => {
    const sections = noMemory();
    addSection(sections, sectionRange(16, 19), NODE, { start: AREA, sizeBytes: preallocatedSize(3) });
    expect([16, 17, 18, 19].map((nr) => sections.memmapPhys(nr))).toEqual([AREA, AREA + SECTION_MEMMAP_SIZE, AREA + 2 * SECTION_MEMMAP_SIZE, undefined]);
  });

  it('fails with ENOMEM when the area is used up, and leaves nothing behind', () => {
    const sections = noMemory();
    const small = { start: AREA, sizeBytes: preallocatedSize(3) - 4096 };
    expect(() => addSection(sections, sectionRange(16, 19), NODE, small)).toThrow(failing('ENOMEM'));
    expect([sections.memmapPhys(16), sections.pfnValid(sectionRange(16, 17).start)]).toEqual([undefined, false]);
    addSection(sections, sectionRange(16, 18), NODE, small);
  });

  it('goes and comes again', () => {
    const sections = noMemory();
    const area = { start: AREA, sizeBytes: preallocatedSize(1) };
    for (let i = 0; i < 3; i++) addSection(sections, sectionRange(16, 17), NODE, area)();
    expect(sections.memmapPhys(16)).toBeUndefined();
  });

  it('takes whole sections only, and none twice', () => {
    const sections = noMemory();
    const area = { start: AREA, sizeBytes: preallocatedSize(4) };
    expect(() => addSection(sections, { start: pfn(512), end: pfn(PAGES_PER_SECTION) }, NODE, area)).toThrow(failing('EINVAL'));
    addSection(sections, sectionRange(16, 17), NODE, area);
    expect(() => addSection(sections, sectionRange(15, 17), NODE, area)).toThrow(failing('EEXIST'));
  });
});

it('an area is of whole frames', () => {
  expect(() => preallocatedAltmap({ start: AREA, sizeBytes: 4097 })).toThrow(failing('EINVAL'));
  expect(() => preallocatedAltmap({ start: physAddr(12), sizeBytes: 4096 })).toThrow(failing('EINVAL'));
});
